"""339 icons that come with miniclip, by five teams whose drawings are kept out of training.

Tabler, Ionicons, Eva, Bootstrap and Heroicons are development families under the MIT licence.
sample.json holds the names that at least four of the five have, 79 in all, and each team's first
drawing of the name as SVG text (lessons/studies/make_sample.py wrote it). LICENSES.txt, beside it, has the
notices of the teams. The first released model, load("icons"), is older than the families: only Tabler and
Heroicons are new to it.
"""

import json
from pathlib import Path

from PIL import Image

from miniclip.data.icons import drawing

FILE = Path(__file__).with_name("sample.json")


def sample() -> tuple[list[Image.Image], list[str]]:
    """(pictures, their names). The pictures are drawn now: 32 x 32 pixels, black on white, RGB."""
    teams = json.loads(FILE.read_text("utf-8"))["icons"].values()
    names = [name for team in teams for name in team]
    inks = [drawing.draw(svg) for team in teams for svg in team.values()]
    return [Image.fromarray(255 - ink).convert("RGB") for ink in inks], names
