"""The diagram of lesson 17: what each system asks about a picture's caption."""

from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet

CAPTION = "a dog on a red sofa"
ROW, HEIGHT = 1.75, 0.75  # from one question to the next, and of a cell


def chips(sheet, x, y, texts, marked=(), hidden=()):
    """Boxes beside each other, as wide as their texts; right answers are green."""
    for k, text in enumerate(texts):
        width = 0.5 + 0.2 * len(text)
        fill = MATCH if k in marked else "white" if k in hidden else PLAIN
        sheet.box(x, y, width, HEIGHT, text, fill, 9)
        x += width + 0.15


def question(sheet, row, who, text, cells, **how):
    """One system: its name at the left, its question, and below the question what it chooses from."""
    y = 2.6 + ROW * row
    sheet.label(0.4, y + 0.45, who, 10, align="left", weight="bold")
    sheet.label(5.2, y, text, 10, align="left")
    chips(sheet, 5.2, y + 0.35, cells, **how)


def head(sheet):
    """The picture and its caption."""
    sheet.box(0.4, 0.5, 2.2, 1.2, "picture", PICTURE)
    sheet.box(5.2, 0.7, 5.2, 0.8, CAPTION, TEXT, 11)
    sheet.arrow((2.7, 1.1), (5.1, 1.1), "a question", color=DARK)


def questions():
    sheet = Sheet(17, 11.4)
    head(sheet)
    words = ["bus", "cat", "dog", "on", "red", "sea", "sofa", "tree", "..."]
    question(
        sheet, 0, "Joulin et al. 2016", "which words are in the text?", words, marked=(2, 3, 4, 6)
    )
    phrases = ["a cat", "a dog", "blue sea", "red sofa", "red bus", "..."]
    question(
        sheet, 1, "Visual N-Grams 2017", "which phrases are in the text?", phrases, marked=(1, 3)
    )
    question(
        sheet, 2, "VirTex 2020", "what is the next word?", ["a", "dog", "on", "?"], hidden=(3,)
    )
    hidden = ["a", "?", "on", "a", "red", "sofa"]
    question(sheet, 3, "ICMLM 2020", "what is the hidden word?", hidden, hidden=(1,))
    captions = ["a cat in the sun", CAPTION, "two buses"]
    question(
        sheet, 4, "ConVIRT 2020\nCLIP 2021", "which of these captions is it?", captions, marked=(1,)
    )
    sheet.save("17_questions")


def main():
    questions()


if __name__ == "__main__":
    main()
