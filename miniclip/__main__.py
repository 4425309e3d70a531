"""All commands: miniclip data|search|weights|cost|bench|report, or python -m miniclip"""

import sys

from miniclip.common import choose

COMMANDS = {  # name: (module, what it does)
    "data": ("miniclip.data.__main__", "count a set of pairs; pack it into shards; curate it"),
    "search": ("miniclip.search.__main__", "index your pictures; find, embed, or serve a page"),
    "weights": ("miniclip.weights.__main__", "export weights for other programs"),
    "cost": ("miniclip.cost.__main__", "flop, memory and days of the run that options start"),
    "bench": (
        "miniclip.benchmarks.__main__",
        "time the towers, the tokenizer, the loader, the loss",
    ),
    "report": (
        "kernels.report.__main__",
        "what the kernels compile to, and the predicted time of a step",
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command that is named first. Returns its exit code."""
    return choose(
        "python -m miniclip" if sys.argv[0].endswith("__main__.py") else "miniclip",
        "CLIP, to be read, run and trusted.",
        COMMANDS,
        argv,
        more="train.py trains and eval.py evaluates; both are files in the repository",
    )


if __name__ == "__main__":
    sys.exit(main())
