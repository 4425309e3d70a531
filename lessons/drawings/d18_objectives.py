"""The diagram of lesson 18: what the three objectives ask that compare captions."""

from d17_names import CAPTION, chips, head
from pen import Sheet

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


def main():
    questions()


if __name__ == "__main__":
    main()
