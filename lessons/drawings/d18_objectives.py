"""The diagrams of lesson 18: what three objectives ask, and how a factor is read from two curves."""

import json
from pathlib import Path

from d17_names import CAPTION, chips, head
from pen import DARK, FIGURES, Sheet, plt

RACE = Path(__file__).parents[2] / "docs/objectives/race/results.json"

ROWS = [
    (
        "contrastive",
        "which of these captions is it?",
        ["a cat in the sun", CAPTION, "two buses"],
        (1,),
        (),
    ),
    (
        "contrastive_bow",
        "which of these bags of words is it?",
        ["a, cat, in, sun, the", "a, a, dog, on, red, sofa", "buses, two"],
        (1,),
        (),
    ),
    (
        "sigmoid",
        "does this caption belong to it? (asked for each one)",
        ["a cat in the sun: no", f"{CAPTION}: yes", "two buses: no"],
        (1,),
        (),
    ),
]


def questions():
    sheet = Sheet(18.6, 7.6)
    head(sheet)
    for row, (name, question, cells, marked, hidden) in enumerate(ROWS):
        y = 2.6 + 1.65 * row
        sheet.label(0.4, y + 0.45, name, 10, align="left", family="monospace")
        sheet.label(5.2, y, question, 10, align="left")
        chips(sheet, 5.2, y + 0.3, cells, marked=marked, hidden=hidden)
    sheet.save("18_questions")


def factor():
    """Two curves of the race, the mark, and the pairs that each needs for it."""
    race = json.loads(RACE.read_text())
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for name in ("contrastive_bow", "bag_of_words"):
        pairs = race[name]["pairs"]
        means = [sum(seeds) / len(seeds) for seeds in race[name]["top-1"]]
        axis.plot(pairs, means, "o-")
        above = name == "contrastive_bow"
        axis.text(
            pairs[1], means[1] + (0.05 if above else -0.07), name, ha="right" if above else "left"
        )
    mark, most = means[-1], pairs[-1]
    fewer = most / race["contrastive_bow"]["times fewer pairs of the mean"]["value"]
    axis.plot([pairs[0], most], [mark, mark], ":", color=DARK)
    axis.vlines([fewer, most], 0, mark, DARK, ":")
    axis.text(pairs[0], mark + 0.02, f"the mark, {mark:.2f}")
    axis.annotate("", (most, 0.05), (fewer, 0.05), arrowprops={"arrowstyle": "<->"})
    axis.text((fewer * most) ** 0.5, 0.07, f"{most / fewer:.2f} times", ha="center")
    axis.set(xscale="log", ylim=(0, 0.7), xlabel="pairs", ylabel="top-1")
    axis.set_xticks([*pairs[:2], fewer, most], [f"{n:,.0f}" for n in (*pairs[:2], fewer, most)])
    axis.minorticks_off()
    figure.savefig(FIGURES / "18_factor.png", dpi=80, metadata={"Software": None})


def main():
    questions()
    factor()


if __name__ == "__main__":
    main()
