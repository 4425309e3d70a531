"""Make sample.json, the icons that come with miniclip:

    python lessons/studies/make_sample.py

The icons are from five development families, whose licence is MIT. If at least four of the five
teams have a name, each team's first drawing of that name is kept.
"""

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from miniclip.common import command, replacing
from miniclip.data.icons import iconify, sample

SETS = ("tabler", "ion", "eva", "bi", "heroicons")
FEWEST_TEAMS = 4  # that have the name


def chosen(sets: dict) -> dict:
    """What sample.json holds, chosen from all sets as iconify.read returns them."""
    teams = {prefix: {} for prefix in SETS}
    for prefix, team in teams.items():
        for svg, captions in iconify.icons(sets[prefix]):
            team.setdefault(captions[0][0], svg)
    count = Counter(name for team in teams.values() for name in team)
    credits, icons = {}, {}
    for prefix, team in teams.items():
        info = sets[prefix]["info"]
        credits[prefix] = {key: info[key] for key in ("name", "author", "license")}
        icons[prefix] = {name: team[name] for name in sorted(team) if count[name] >= FEWEST_TEAMS}
    return {
        "source": f"{iconify.PACKAGE} {iconify.VERSION}",
        "sets": credits,
        "icons": icons,
    }


@command("make_sample.py", "Make sample.json, the icons that come with miniclip.", {})
def main():
    found = chosen(iconify.read(iconify.archive()))
    with replacing(sample.FILE) as file:
        file.write((json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
