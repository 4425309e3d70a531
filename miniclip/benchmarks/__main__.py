"""Choose a benchmark: python -m miniclip.benchmarks towers|tokenizer|loader [its options, or -h]"""

import sys

from miniclip.common import choose

COMMANDS = {  # name: (module, what it does)
    "towers": ("miniclip.benchmarks.towers", "forward and backward, beside open_clip"),
    "tokenizer": ("miniclip.benchmarks.tokenizing", "captions per second, beside two others"),
    "loader": ("miniclip.benchmarks.loading", "pictures per second, beside webdataset"),
    "loss": ("kernels.bench.__main__", "the contrastive loss, beside open_clip"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark that is named first. Returns its exit code."""
    return choose("python -m miniclip.benchmarks", "Time a part of miniclip.", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
