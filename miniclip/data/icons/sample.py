"""339 icons that come with miniclip, by five teams whose drawings are kept out of training.

Tabler, Ionicons, Eva, Bootstrap and Heroicons are development families under the MIT licence.
sample.json holds the names that at least four of the five have, 79 in all, and each team's first
drawing of the name as SVG text. LICENSES.txt, beside it, has the notices of the teams. The first
released model, load("icons"), is older than the families: only Tabler and Heroicons are new to it.
"""

import json
from collections import Counter
from pathlib import Path

from PIL import Image

from miniclip.data.icons import drawing, iconify

FILE = Path(__file__).with_name("sample.json")
SETS = ("tabler", "ion", "eva", "bi", "heroicons")
FEWEST_TEAMS = 4  # that have the name


def sample() -> tuple[list[Image.Image], list[str]]:
    """(pictures, their names). The pictures are drawn now: 32 x 32 pixels, black on white, RGB."""
    pictures, names = [], []
    for team in json.loads(FILE.read_text("utf-8"))["icons"].values():
        for name, svg in team.items():
            pictures.append(Image.fromarray(255 - drawing.draw(svg)).convert("RGB"))
            names.append(name)
    return pictures, names


def chosen(sets: dict) -> dict:
    """What sample.json holds, chosen from all sets as iconify.read returns them."""
    teams = {prefix: {} for prefix in SETS}
    for prefix, team in teams.items():
        for icon in iconify.icons(sets[prefix]):
            team.setdefault(icon.captions[0][0], icon.svg)
    count = Counter(name for team in teams.values() for name in team)
    credits, icons = {}, {}
    for prefix, team in teams.items():
        info = sets[prefix]["info"]
        credits[prefix] = {key: info[key] for key in ("name", "author", "license")}
        icons[prefix] = {name: team[name] for name in sorted(team) if count[name] >= FEWEST_TEAMS}
    source = f"{iconify.PACKAGE} {iconify.VERSION}"
    return {"source": source, "sets": credits, "icons": icons}


if __name__ == "__main__":  # python -m miniclip.data.icons.sample writes the file anew
    found = chosen(iconify.read(iconify.archive()))
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
