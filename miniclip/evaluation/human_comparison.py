"""The reader as the subject (CLIP, section 4): zero-, one- and two-shot, on pictures the model was
asked about too.

It runs in a plain terminal: a question is a line, an answer is a number, Enter alone is "I don't
know". Pictures are written as PNG files for a viewer, and drawn in the terminal where it has colours.
Nothing about the reader is kept: the answers live in memory, are counted, and are gone.
"""

import os
import random

from PIL import Image, ImageDraw

from miniclip.evaluation.confidence import wilson, written


def run_quiz(labelled, asked, model_right, folder, rounds=8, seed=None, ask=input, say=print):
    """Put `rounds` pictures three times to the reader, with 0, 1 and 2 examples a class at hand.

    labelled: data.labelled.Labelled; asked: indices with an answer of the model; model_right: {index:
    bool}; folder: where the pictures go; seed: None is another quiz each time. Returns
    {examples: (right, asked, said "don't know", right of the model)}. Ends early when input ends.
    """
    rng, scores, shown, folder = random.Random(seed), {}, 0, os.fspath(folder)
    names, asked = labelled.class_names, list(asked)
    rng.shuffle(asked)
    by_class = {}
    for i in labelled.splits["train"]:
        by_class.setdefault(labelled.labels[i], []).append(i)
    os.makedirs(folder, exist_ok=True)
    say("What is on the picture? Type a number; Enter alone is: I don't know.")
    say("  ".join(f"{k + 1} {name}" for k, name in enumerate(names)))
    for examples in (0, 1, 2):
        batch, asked = asked[:rounds], asked[rounds:]
        if not batch:
            break
        if examples:
            path = os.path.join(folder, f"examples_{examples}.png")
            drawn = {c: rng.sample(own, min(examples, len(own))) for c, own in by_class.items()}
            _sheet(labelled, drawn, examples).save(path)
            say(f"\nNow with {examples} example{'s' * (examples > 1)} of each class: {path}")
        right = unsure = beaten = count = 0
        for i in batch:
            path = os.path.join(folder, f"question_{shown + 1}.png")
            picture = labelled.pictures.image(i)
            picture.save(path)
            shown += 1
            if _coloured():
                say(in_terminal(picture))
            answer = _answer(ask, say, f"{path}: ", len(names))
            if answer is None:
                return _result(scores, examples, (right, count, unsure, beaten), say)
            count += 1
            truth = labelled.labels[i]
            right += answer == truth
            unsure += answer < 0
            beaten += model_right[i]
            say("right" if answer == truth else f"it was {truth + 1} {names[truth]}")
        scores[examples] = (right, count, unsure, beaten)
    return _result(scores, None, None, say)


def _result(scores, examples, last, say):
    if last and last[1]:
        scores[examples] = last
    for examples, (right, count, unsure, model) in scores.items():
        yours, its = wilson(right, count), wilson(model, count)
        say(f"{examples} examples: you {written(right / count, *yours)}, of which {unsure} left open; "
            f"the model, zero-shot, {written(model / count, *its)} (n = {count})")  # fmt: skip
    say("Nothing was stored." if scores else "No question was answered; nothing was stored.")
    return scores


def _answer(ask, say, question, classes):
    """A class position, -1 for "don't know", None when there is no more input."""
    while True:
        try:
            text = ask(question).strip()
        except (EOFError, KeyboardInterrupt):
            return None
        if not text:
            return -1
        if text.isdecimal() and 1 <= int(text) <= classes:
            return int(text) - 1
        say(f"a number from 1 to {classes}, or Enter")


def _sheet(labelled, drawn, examples, side=64):
    """Example pictures, a class a column below its number (an empty one has none)."""
    head = 14
    sheet = Image.new("RGB", (side * len(labelled.class_names), side * examples + head), "white")
    for c in range(len(labelled.class_names)):
        ImageDraw.Draw(sheet).text((side * c + side // 2 - 6, 1), str(c + 1), fill="black")
    for c, own in drawn.items():
        for row, i in enumerate(own):
            picture = labelled.pictures.image(i).resize((side, side))
            sheet.paste(picture, (side * c, side * row + head))
    return sheet


def _coloured():
    return os.isatty(1) and os.environ.get("COLORTERM") in ("truecolor", "24bit")


def in_terminal(picture, side=32):
    """A picture as text: half blocks in 24-bit colour, `side` columns wide, side / 2 lines."""
    small = picture.convert("RGB").resize((side, side))
    lines = []
    for y in range(0, side, 2):
        line = ""
        for x in range(side):
            top, bottom = small.getpixel((x, y)), small.getpixel((x, y + 1))
            line += f"\x1b[38;2;{top[0]};{top[1]};{top[2]}m\x1b[48;2;{bottom[0]};{bottom[1]};{bottom[2]}m▀"
        lines.append(line + "\x1b[0m")
    return "\n".join(lines)
