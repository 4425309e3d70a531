"""339 icons that come with miniclip, by five teams whose drawings are kept out of training.

Tabler, Ionicons, Eva, Bootstrap and Heroicons are development families under the MIT licence.
sample.json holds the 79 names that at least four of the five teams have drawn, and for each name
the first drawing of each team, as SVG text (lessons/studies/make_sample.py wrote the file).
LICENSES.txt has the notices of the teams. The first released model, load("icons"), is older than
the division into families. Of the five, only Tabler and Heroicons are new to it.
"""

import json
from pathlib import Path

from PIL import Image

from miniclip.data.icons import drawing

FILE = Path(__file__).with_name("sample.json")


def sample() -> tuple[list[Image.Image], list[str]]:
    """(pictures, names). The pictures are drawn by this call: 32 x 32 pixels, black on white,
    RGB."""
    teams = json.loads(FILE.read_text("utf-8"))["icons"].values()
    names = [name for team in teams for name in team]
    inks = [drawing.draw(svg) for team in teams for svg in team.values()]
    return [Image.fromarray(255 - ink).convert("RGB") for ink in inks], names
