"""Export weights for other programs: python -m miniclip.weights export FILE OUT --format ..."""

import sys

from miniclip.common import choose

COMMANDS = {"export": ("miniclip.weights.export", "write a model for other programs")}


def main(argv: list[str] | None = None) -> int:
    """Run the command that is named first. Returns its exit code."""
    what = "Weights in and out; `--checkpoint` of all commands takes files, folders and names."
    return choose("python -m miniclip.weights", what, COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
