"""All commands of miniclip: miniclip data|search|weights|cost|bench|report, or python -m miniclip"""

import sys

from miniclip.common import choose

COMMANDS = {  # name: (module, what it does)
    "data": ("miniclip.data.__main__", "count what is in a set of pairs; pack shards; curate"),
    "search": ("miniclip.search.__main__", "index your pictures; find, embed, or serve a page"),
    "weights": ("miniclip.weights.__main__", "export weights for other programs"),
    "cost": ("miniclip.cost.__main__", "flop, memory and days of the run that options start"),
    "bench": (
        "miniclip.benchmarks.__main__",
        "time the towers, the tokenizer, the loader, the loss",
    ),
    "report": ("kernels.report.__main__", "what the compiler makes of the kernels, and their plan"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that is named first. Returns its exit code."""
    prog = "python -m miniclip" if sys.argv[0].endswith("__main__.py") else "miniclip"
    return choose(
        prog,
        "CLIP, to be read, run and trusted.",
        COMMANDS,
        argv,
        more="train.py trains and eval.py evaluates; they are files of the repository",
    )


if __name__ == "__main__":
    sys.exit(main())
