"""Make emoji.tsv, the committed table of names: python -m miniclip.data.make_table emoji-test.txt

Unicode's emoji-test.txt (version 17.0; UTS #51) lists every emoji with its name, group and subgroup.
Kept are its fully-qualified rows outside the group Component: 3,944. A fifth column is the hash of
the picture that OpenMoji draws for it. Two names with one hash are one picture, and the hash, not
the machine that trains, decides what is held out: see dataset.py. It is in the table because another
renderer, or another version of this one, may round a pixel differently; a split must not move.
"""

import hashlib
import re
import sys
from pathlib import Path

from miniclip.common import UserError
from miniclip.data.emoji.render import draw_all

ROW = re.compile(r"(?P<codes>[0-9A-F ]+?) *; fully-qualified +# \S+ E\d+\.\d+ (?P<name>.+)")
TABLE = Path(__file__).with_name("emoji.tsv")


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
            codes = "-".join(code for code in row["codes"].split() if code != "FE0F")
            rows.append((codes, row["name"].strip(), group, subgroup))
    if not version or not rows:
        raise UserError("this is not Unicode's emoji-test.txt: no version line, or no emoji in it")
    return version[1], rows


def main(argv):
    """The command: emoji-test.txt -> emoji.tsv. Returns the exit code."""
    if len(argv) != 1:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    try:
        version, rows = parse(Path(argv[0]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UserError) as error:
        print(f"make_table: {error}", file=sys.stderr)
        return 2
    pictures = draw_all([row[0] for row in rows])
    hashes = [hashlib.sha256(picture.tobytes()).hexdigest()[:16] for picture in pictures]
    lines = [
        f"# Names, groups and subgroups: Unicode's emoji-test.txt {version}, rearranged by",
        "# miniclip/data/emoji/make_table.py; © Unicode, Inc., licence in UNICODE-LICENSE.txt beside this file.",
        "# picture: SHA-256 (first 16 digits) of OpenMoji's drawing, 64 x 64 RGB.",
        "codes\tname\tgroup\tsubgroup\tpicture",
        *("\t".join((*row, digest)) for row, digest in zip(rows, hashes)),
    ]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    print(f"{TABLE.name}: {len(rows):,} names, {len(set(hashes)):,} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
