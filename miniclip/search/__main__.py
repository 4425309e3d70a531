"""Choose a command: python -m miniclip.search index|find|embed|serve [its options, or -h]"""

import sys

from miniclip.common import choose

COMMANDS = {  # name: (module, what it does)
    "index": ("miniclip.search.build", "make the index of a folder, or bring it up to date"),
    "find": ("miniclip.search.find", "find the pictures nearest to a text or to a picture"),
    "embed": ("miniclip.search.embed", "write the features of pictures or sentences to a file"),
    "serve": ("miniclip.search.serve", "search an index in a browser, and classify pictures"),
}


def main(argv=None):
    """Run the command that is named first. Returns its exit code."""
    return choose("python -m miniclip.search", "Search your own pictures.", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
