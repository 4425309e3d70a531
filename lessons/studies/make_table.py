"""Make emoji.tsv, the committed table of names:

    python lessons/studies/make_table.py emoji-test.txt

Unicode's emoji-test.txt (version 17.0; UTS #51) lists every emoji with its name, group and subgroup.
Its fully-qualified rows outside the group Component are kept: 3,944. A fifth column is the hash of
the picture that OpenMoji draws for the emoji. Two names with one hash are one picture, and the hash
decides what is held out: see emoji.py. It is in the table, and not computed where a model is
trained, because another renderer or version may round a pixel differently; a split must not change.
"""

import hashlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from miniclip.common import Parser, UserError, command, replacing
from miniclip.data.emoji.drawings import draw_all, without_fe0f
from miniclip.data.files import read_text

ROW = re.compile(r"(?P<codes>[0-9A-F ]+?) *; fully-qualified +# \S+ E\d+\.\d+ (?P<name>.+)")
TABLE = Path(__file__).parents[2] / "miniclip/data/emoji/emoji.tsv"


def parse(text):
    """emoji-test.txt as (version, rows); a row is (code points without FE0F, name, group, subgroup).

    Raises UserError when `text` is not such a file.
    """
    version = re.search(r"^# Version: (\S+)", text, re.MULTILINE)
    rows, group, subgroup = [], "", ""
    for line in text.splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ").strip()
        elif line.startswith("# subgroup: "):
            subgroup = line.removeprefix("# subgroup: ").strip()
        elif (row := ROW.match(line)) and group != "Component":
            codes = without_fe0f(row["codes"].split())
            rows.append((codes, row["name"].strip(), group, subgroup))
    if not version or not rows:
        raise UserError("this is not Unicode's emoji-test.txt: no version line, or no emoji in it")
    return version[1], rows


@command("make_table")
def main(argv=None):
    """The command: emoji-test.txt -> emoji.tsv. Returns the exit code."""
    parser = Parser(prog="make_table", description="Make emoji.tsv from Unicode's emoji-test.txt.")
    parser.add_argument("emoji_test", type=Path, help="emoji-test.txt, version 17.0")
    path = parser.parse_args(argv).emoji_test
    version, rows = parse(read_text(path))
    pictures = draw_all([row[0] for row in rows])
    hashes = [hashlib.sha256(picture.tobytes()).hexdigest()[:16] for picture in pictures]
    lines = [
        f"# Names, groups and subgroups: Unicode's emoji-test.txt {version}, rearranged by",
        "# lessons/studies/make_table.py; © Unicode, Inc., licence in UNICODE-LICENSE.txt beside this file.",
        "# picture: SHA-256 (first 16 digits) of OpenMoji's drawing, 64 x 64 RGB.",
        "codes\tname\tgroup\tsubgroup\tpicture",
        *("\t".join((*row, digest)) for row, digest in zip(rows, hashes)),
    ]
    with replacing(TABLE) as file:
        file.write(("\n".join(lines) + "\n").encode())
    print(f"{TABLE.name}: {len(rows):,} names, {len(set(hashes)):,} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
