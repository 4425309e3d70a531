"""Diagrams of lesson 02: merges on four words, the ids as a strip, a caption's way to a row."""

from collections import Counter

from pen import PLAIN, TEXT, Sheet

from miniclip.bpe.merges import learn_merges, merge

CORPUS = {"red": 4, "heart": 3, "hearts": 2, "tears": 2}
NEW = "#f3b266"  # what a line has just joined


def merges():
    """The four words, joined line by line."""
    symbols = {word: list(map(ord, word)) for word in CORPUS}
    spelled = {ord(letter): letter for word in CORPUS for letter in word}
    learned = learn_merges({tuple(map(ord, word)): n for word, n in CORPUS.items()}, 6, 256)
    sheet, side, label = Sheet(20, 8.6), 0.58, "letters"
    for line in range(7):
        y, x = 1.1 + 1.05 * line, 2.9
        sheet.label(2.4, y + side / 2, label, 10, "right")
        for word, times in CORPUS.items():
            if line == 0:
                sheet.label(x + side * len(word) / 2, 0.5, f"{word} × {times}", 11)
            for symbol in symbols[word]:
                text = spelled[symbol]
                fill = NEW if symbol == 255 + line else TEXT if len(text) > 1 else "white"
                sheet.box(x, y, side * len(text), side, text, fill, 11)
                x += side * len(text)
            x += 0.6
        if line == 6:
            break
        (left, right), new = list(learned.items())[line]
        spelled[new] = spelled[left] + spelled[right]
        counts = Counter()
        for word, times in CORPUS.items():
            counts[left, right] += times * list(zip(symbols[word], symbols[word][1:])).count(
                (left, right)
            )
            symbols[word] = merge(symbols[word], (left, right), new)
        next_pair = f"{spelled[left]} + {spelled[right]}: {counts[left, right]} times"
        sheet.label(16.6, y + side / 2, next_pair, 10, "left")
        label = f"{spelled[new]} joined"
    sheet.label(16.6, 0.5, "joined next", 11, "left")
    sheet.save("02_merges")


def ids():
    """The parts of a vocabulary, with the first id of each, for ours and the released one."""
    sheet, x = Sheet(20, 4.4), 2.9
    parts = (
        (4.1, "256 bytes,\nprintable ones first", "white", "0, which is !", "0, which is !"),
        (4.1, "256 bytes,\nthe last of a word", "white", "256", "256"),
        (4.9, "one for each merge", TEXT, "512", "512"),
        (1.8, "start", PLAIN, "2012", "49406"),
        (1.8, "end", PLAIN, "2013", "49407"),
    )
    for width, text, fill, ours, released in parts:
        sheet.box(x, 0.4, width, 1.5, text, fill, 11)
        sheet.label(x + 0.1, 2.9, ours, 11, "left")
        sheet.label(x + 0.1, 3.7, released, 11, "left")
        x += width
    for y, text in ((2.2, "first id"), (2.9, "ours"), (3.7, "released")):
        sheet.label(2.4, y, text, 11, "right")
    sheet.save("02_ids")


def row():
    """A caption on its way to a row of ids."""
    sheet, side, small, left = Sheet(20, 9.3), 1.6, 0.8, 6.0
    stages = (
        ("caption", "what somebody typed"),
        ("words", "cleaned and split"),
        ("bytes", "| is the end of a word"),
        ("pieces", "merges repeated"),
        ("row", "ids, filled up with zeros"),
    )
    for i, (title, detail) in enumerate(stages):
        sheet.label(0.4, 0.55 + 1.9 * i, title, 12, "left", weight="bold")
        sheet.label(0.4, 1.1 + 1.9 * i, detail, 9, "left")
    words, x = ("a", "red", "heart", "!"), 6.0
    sheet.label(left + 3 * side, 0.8, '"A red heart!"', 14)
    for k, word in enumerate(words):
        middle = left + side * (k + 1.5)
        sheet.box(middle - side / 2, 2.3, side, 0.9, word, "white", 12)
        width = small * len(word)
        for i, letter in enumerate(word):
            end = "|" if i + 1 == len(word) else ""
            sheet.box(x + small * i, 4.2, small, 0.9, letter + end, "white", 12)
        sheet.arrow((middle, 3.2), (x + width / 2, 4.2))
        sheet.arrow((x + width / 2, 5.1), (middle, 6.1))
        x += width + 0.8
    sheet.arrow((left + 3 * side, 1.3), (left + 3 * side, 2.3))
    fills = {(0, j): PLAIN if j in (0, 5) else TEXT if j < 5 else "white" for j in range(8)}
    pieces = ["start", "a|", "red|", "heart|", "!|", "end", "", ""]
    sheet.cells(left, 6.1, [pieces], side, fills, 12, 0.9)
    sheet.cells(left, 8.0, [[2012, 320, 707, 578, 256, 2013, 0, 0]], side, fills, 12, 0.9)
    for j in range(8):
        sheet.arrow((left + side * (j + 0.5), 7.0), (left + side * (j + 0.5), 8.0))
    sheet.save("02_row")


def main():
    merges()
    ids()
    row()


if __name__ == "__main__":
    main()
