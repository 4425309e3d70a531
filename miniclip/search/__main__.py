"""Choose a command: python -m miniclip.search index|find|embed|serve [its options, or -h]"""

import argparse
import importlib
import sys

from miniclip.common import Parser

COMMANDS = {  # name: (module, what it does)
    "index": ("build", "make the index of a folder of pictures, or bring it up to date"),
    "find": ("find", "find the pictures nearest to a text or to a picture"),
    "embed": ("embed", "write the features of pictures or sentences to a file"),
    "serve": ("serve", "search an index in a browser, and classify pictures"),
}


def main(argv=None):
    """Run the command that is named first. Returns its exit code."""
    parser = Parser(
        prog="python -m miniclip.search",
        description="Search your own pictures by words or by a picture.",
        epilog="; ".join(f"{name}: {what}" for name, (_, what) in COMMANDS.items()),
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see: index -h")
    argv = sys.argv[1:] if argv is None else argv
    module, _ = COMMANDS[parser.parse_args(argv[:1]).command]
    return importlib.import_module(f"miniclip.search.{module}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
