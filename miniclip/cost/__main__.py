"""python -m miniclip.cost [options of train.py] [--world-size N] [--gpu NAME]: what that run costs."""

import sys

from miniclip.common import command
from miniclip.cost.plan import describe, plan_run
from miniclip.training.config import Config


@command("python -m miniclip.cost")
def main(argv=None):
    """The command: print the plan."""
    words = [*(sys.argv[1:] if argv is None else argv), "--plan"]
    print(describe(plan_run(Config.parse(words, "python -m miniclip.cost", __doc__))))


if __name__ == "__main__":
    sys.exit(main())
