"""Make emoji.tsv, the committed table of names:

    python lessons/studies/make_table.py emoji-test.txt

Unicode's emoji-test.txt (version 17.0; UTS #51) lists every emoji with its name, group and
subgroup. The fully-qualified rows outside the group Component are kept, 3,944 of them. A fifth
column is the hash of the picture that OpenMoji draws for the emoji. Two names with the same hash
have the same picture, and the hash decides what is held out (see emoji.py). It is in the table
instead of being computed before each training, because another renderer or version may round a
pixel differently, and a split must not change.
"""

import hashlib
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from miniclip.common import command, path, refuse, refusing, replacing
from miniclip.data.emoji.drawings import draw_all, without_fe0f

LINE = re.compile(
    r"^# (group|subgroup): (.+)$|^([0-9A-F ]+?) *; fully-qualified +# \S+ E\d+\.\d+ (.+)$", re.M
)
TABLE = Path(__file__).parents[2] / "miniclip/data/emoji/emoji.tsv"
OPTIONS = {"file": dict(type=path(), help="Unicode's emoji-test.txt")}


def parse(text):
    """The rows of emoji-test.txt: (code points without FE0F, name, group, subgroup)."""
    rows, at = [], {}
    for kind, title, codes, name in LINE.findall(text):
        if kind:
            at[kind] = title.strip()
        elif at["group"] != "Component":
            rows.append((without_fe0f(codes.split()), name.strip(), at["group"], at["subgroup"]))
    return rows


@command("make_table.py", "Make emoji.tsv, the committed table of names.", OPTIONS)
def main(file):
    with refusing(f"{file} is not Unicode's emoji-test.txt"):
        text = file.read_text(encoding="utf-8")
        refuse({"it does not end with #EOF": not text.rstrip().endswith("#EOF")})
        (version,) = re.findall(r"^# Version: (\S+)", text, re.M)
        rows = parse(text)
    pictures = draw_all([row[0] for row in rows])
    lines = [
        f"# Names, groups and subgroups: Unicode's emoji-test.txt {version}, rearranged by",
        "# lessons/studies/make_table.py; © Unicode, Inc., licence in UNICODE-LICENSE.txt beside this file.",
        "# picture: SHA-256 (first 16 digits) of OpenMoji's drawing, 64 x 64 RGB.",
        "codes\tname\tgroup\tsubgroup\tpicture",
        *(
            "\t".join((*row, hashlib.sha256(picture.tobytes()).hexdigest()[:16]))
            for row, picture in zip(rows, pictures)
        ),
    ]
    with replacing(TABLE) as table:
        table.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
