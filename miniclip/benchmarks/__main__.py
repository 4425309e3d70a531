"""Choose a benchmark: python -m miniclip.benchmarks towers|tokenizer|loader [its options, or -h]"""

import argparse
import importlib
import sys

from miniclip.common import Parser

FILES = {"towers": "towers", "tokenizer": "tokenizing", "loader": "loading"}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark that is named first. Returns its exit code."""
    parser = Parser(prog="python -m miniclip.benchmarks", description="Time a part of miniclip.")
    parser.add_argument("which", choices=FILES)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see: towers -h")
    args = parser.parse_args(argv)
    return importlib.import_module(f"miniclip.benchmarks.{FILES[args.which]}").main(args.options)


if __name__ == "__main__":
    sys.exit(main())
