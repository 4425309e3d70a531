"""What is in a source of pairs:

    python -m miniclip.data [pairs.csv | folder | shards | icons | emoji]

The command counts what a result depends on: how many pairs there are, what is held out, what occurs
twice and what had to be left out. It decodes every picture, so that damage which training would
meet later is named now.
"""

import collections
import hashlib
import sys

from tqdm import tqdm

from miniclip.common import Parser, choose, command, path, refuse
from miniclip.data import SOURCE_FLAGS, open_pairs, source_options
from miniclip.data.dataset import Pairs, print_skipped, printable
from miniclip.data.threads import read_all

COMMANDS = {  # name: (module, what it does)
    "pack": ("miniclip.data.shards.pack", "write shards"),
    "curate": ("miniclip.data.curation.curate", "limit how many pairs a frequent word has"),
}
OPTIONS = {
    "data": dict(
        nargs="?",
        type=path(str),
        help="pairs.csv, a folder, shards, icons or emoji (the default)",
    ),
    **SOURCE_FLAGS,
}


def summary(pairs: Pairs) -> tuple[list, list]:
    """Read all pairs: (rows, damaged). rows: (what is counted, its number, a remark). damaged:
    [(name, reason)] of the pictures that cannot be decoded."""

    def digest(i):
        image = pairs.image(i)
        return hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()

    kept, digests, skipped = read_all(
        digest, tqdm(range(len(pairs)), desc="reading pictures", unit="", disable=None)
    )
    split_of = {i: split for split, own in pairs.splits.items() for i in own}
    drawn = collections.defaultdict(list)
    for i, own in zip(kept, digests):
        drawn[own].append(split_of.get(i))
    twice = [splits for splits in drawn.values() if len(splits) > 1]
    leaks = sum(len({*splits}) > 1 for splits in twice)
    owners = collections.Counter(said for i in range(len(pairs)) for said in pairs.captions(i))
    return [
        ("pictures", len(pairs), "a picture is a pair"),
        ("captions", owners.total(), ""),
        (
            "captions of several pictures",
            sum(n > 1 for n in owners.values()),
            "false negatives of each other",
        ),
        *(
            (f"split {split}", len(indices), f"{len(indices) / len(pairs):.1%}")
            for split, indices in pairs.splits.items()
        ),
        ("groups of identical pictures", len(twice), f"{leaks:,} of them on both sides of a split"),
    ], [(pairs.where(i), why) for i, why in skipped]


@command("python -m miniclip.data")
def main(argv=None):
    """Print a summary, or run the sub-command pack or curate. Returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    what = "Count what is in a set of pairs."
    if argv[:1] and argv[0] in COMMANDS:
        return choose("python -m miniclip.data", what, COMMANDS, argv)
    refuse(
        {
            f"{name} must be the first word: miniclip data {name} ...": not before.startswith("--")
            for before, name in zip(argv, argv[1:])
            if name in COMMANDS
        }
    )
    also = "pack ... writes shards, curate ... limits how many pairs a word has; see their -h"
    args = Parser.of("python -m miniclip.data", what, OPTIONS, epilog=also).parse_args(argv)
    pairs = open_pairs(args.data, **source_options(vars(args)))
    rows, damaged = summary(pairs)
    packages = ", ".join(f"{p} {version}" for p, version in pairs.packages.items())
    print(printable(pairs.name) + (packages and f": {packages}"))
    for what, count, note in rows:
        print(f"  {what:<34}{count:>8,}  {note}".rstrip())
    print(*pairs.credits, sep="\n", end="\n" if pairs.credits else "")
    print_skipped(pairs.skipped + damaged)
    return 0


if __name__ == "__main__":
    sys.exit(main())
