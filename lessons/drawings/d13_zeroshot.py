"""The pictures of lesson 13: three pictures, three names and nine cosines; and what the model answers.

python lessons/drawings/d13_zeroshot.py
"""

import unicodedata

import matplotlib
import torch
from matplotlib.ft2font import FT2Font
from pen import DARK, MATCH, PICTURE, PLAIN, TEXT, Sheet
from PIL import Image, ImageDraw, ImageFont, ImageOps

import miniclip
from miniclip.zeroshot import classifier_weights, encode_tensors

PATH = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
FONT = ImageFont.truetype(PATH, 200)
KINDS = range(0x2190, 0x2200), range(0x2600, 0x27C0), range(0x1F400, 0x1F650)
SYMBOLS = [chr(c) for c in sorted(FT2Font(PATH).get_charmap()) if any(c in kind for kind in KINDS)]
NAMES = [unicodedata.name(symbol).lower() for symbol in SYMBOLS]


def paint(symbol):
    """A character in the middle of a white square of 64 pixels, as the lesson paints it."""
    sheet = Image.new("L", (400, 400), "white")
    ImageDraw.Draw(sheet).text((200, 200), symbol, font=FONT, anchor="mm")
    ink = sheet.crop(ImageOps.invert(sheet).getbbox())
    return ImageOps.expand(ImageOps.pad(ink, (52, 52), color="white"), 6, "white").convert("RGB")


def cosines(symbols, names):
    """The model's cosines of some characters with some names: (symbols, names)."""
    model, tokenizer, preprocess = miniclip.load("web")
    rows = encode_tensors(model, [torch.stack([preprocess(paint(s)) for s in symbols])])
    return rows @ classifier_weights(model, tokenizer, names, ["{}"])


def show(sheet, symbol, x, y, side):
    sheet.axes.imshow(paint(symbol), extent=(x, x + side, y + side, y))


def classifier():
    """Pictures become rows, names become columns, and a row's largest product is the answer."""
    symbols, names = "✈✂☂", ["airplane", "scissors", "umbrella"]
    sheet = Sheet(17.5, 9.0)
    for j, name in enumerate(names):
        x = 9.6 + 2.2 * j
        sheet.box(x, 0.3, 1.8, 0.7, f'"{name}"', "white", 9)
        sheet.arrow((x + 0.9, 1.0), (x + 0.9, 1.6))
        sheet.arrow((x + 0.9, 2.4), (x + 0.9, 2.95))
        sheet.box(x + 0.6, 2.95, 0.6, 1.5, "", TEXT)
    sheet.box(9.6, 1.6, 6.2, 0.8, "text tower", PLAIN, 10)
    sheet.box(2.9, 4.9, 1.6, 3.6, "picture\ntower", PLAIN, 10)
    for i, row in enumerate(cosines(symbols, names).tolist()):
        y = 4.9 + 1.3 * i
        show(sheet, symbols[i], 1.0, y - 0.05, 1.1)
        sheet.arrow((2.2, y + 0.5), (2.9, y + 0.5))
        sheet.arrow((4.5, y + 0.5), (5.4, y + 0.5))
        sheet.box(5.4, y + 0.2, 2.6, 0.6, "", PICTURE)
        for j, cosine in enumerate(row):
            fill = MATCH if cosine == max(row) else "white"
            sheet.box(9.6 + 2.2 * j, y, 1.8, 1.0, f"{cosine:.2f}", fill, 11)
    sheet.axes.set(xlim=(0, 17.5), ylim=(9.0, 0), aspect="equal")  # imshow has changed them
    sheet.label(6.7, 4.55, "rows: features", 9)
    sheet.label(8.6, 3.7, "columns:\nweights", 9)
    sheet.save("13_classifier")


def answers():
    """Sixteen drawings, evenly spaced, and the three names nearest to each."""
    best = cosines(SYMBOLS, NAMES).topk(3).indices.tolist()
    sheet = Sheet(19, 13.0)
    for k in range(16):
        i = int((k + 0.5) * len(SYMBOLS) / 16)
        x, y = 0.3 + 9.4 * (k % 2), 0.3 + 1.58 * (k // 2)
        show(sheet, SYMBOLS[i], x, y, 1.3)
        for rank, found in enumerate(best[i]):
            colour = "#1f7a1f" if found == i else DARK
            sheet.label(x + 1.6, y + 0.25 + 0.42 * rank, NAMES[found], 8, "left", colour)
    sheet.axes.set(xlim=(0, 19), ylim=(13.0, 0), aspect="equal")
    sheet.save("13_answers")


def main():
    classifier()
    answers()


if __name__ == "__main__":
    main()
