"""The report on a site that was never seen (icons), in the paper's order of topics.

Read zero_shot.py (3.1), shots.py (3.1.5: nearest neighbours), probes.py (3.1.5, 3.2: linear
probes), prompts.py (3.1.4), overlap.py (5) and farther.py (6). They write what
../../unseen_site.py computes.
"""

from miniclip.evaluation.report.unseen_site import (
    farther,
    overlap,
    probes,
    prompts,
    shots,
    zero_shot,
)

__all__ = ["farther", "overlap", "probes", "prompts", "shots", "zero_shot"]
