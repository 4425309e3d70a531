"""People against CLIP (CLIP, section 4): the paper's table 2, and a quiz for the reader.

In the paper five people named the breed in all 3,669 pictures of the Oxford-IIIT Pets test split,
or said "I don't know": with no example of each of the 37 breeds, with one, and with two. The first
example raised their accuracy by 22 points, the second by none. The quiz asks the reader about
pictures that the model has classified too. It runs in a plain terminal, and the pictures are PNG files
that the reader opens. No answer is stored.
"""

import contextlib
import random
from pathlib import Path

from miniclip import plots
from miniclip.data.dataset import printable
from miniclip.evaluation.confidence import interval, share, wilson

PICTURES, CLASSES, PEOPLE = 3669, 37, 5
# percent; a guess is an answer other than "I don't know"
TABLE_2 = {
    "zero-shot human": (53.7, 57.0, 69.7, 63.9),
    "zero-shot CLIP": (93.5, 93.5, 93.5, 93.5),
    "one-shot human": (75.7, 80.3, 78.5, 81.2),
    "two-shot human": (75.7, 85.0, 79.2, 86.1),
}
COLUMNS = ("accuracy", "majority vote", "accuracy on guesses", "majority vote on guesses")


def run_quiz(labelled, model_right, folder, rounds=8, seed=None, ask=input, say=print):
    """Ask the reader about `rounds` pictures three times: with 0, 1 and 2 examples of each class.

    labelled: data.labelled.Labelled; model_right: {index: whether the model is right}, the pictures
    to draw from; folder: where the pictures go; seed: None is another quiz each time. Returns
    {examples: (right, asked, "don't know", right of the model)}. The end of input ends the quiz.
    """
    rng, names, folder = random.Random(seed), labelled.class_names, Path(folder)
    asked, by_class, scores = list(model_right), {}, {}
    rng.shuffle(asked)
    for i in labelled.splits["train"]:
        by_class.setdefault(labelled.labels[i], []).append(i)
    folder.mkdir(parents=True, exist_ok=True)
    say("What is in the picture? Type a number; Enter alone is: I don't know.")
    say("  ".join(f"{k + 1} {printable(name)}" for k, name in enumerate(names)))
    with contextlib.suppress(EOFError, KeyboardInterrupt):  # the end of input ends the quiz
        for examples in (0, 1, 2):
            first = examples * rounds
            batch = asked[first : first + rounds]
            if batch and examples:
                path = folder / f"examples_{examples}.png"
                cells = []
                for c, own in sorted(by_class.items()):
                    for i in rng.sample(own, min(examples, len(own))):
                        cells.append((labelled.pictures.image(i), f"{c + 1} {names[c]}", []))
                plots.grid(cells, path)
                say(f"\nNow with {examples} example{'s' * (examples > 1)} of each class: {path}")
            for number, i in enumerate(batch, first + 1):
                path, truth = folder / f"question_{number}.png", labelled.labels[i]
                labelled.pictures.image(i).save(path)
                answer = _answer(ask, say, f"{path}: ", len(names))
                counts = (answer == truth, 1, answer < 0, model_right[i])
                scores[examples] = tuple(map(sum, zip(scores.get(examples, (0,) * 4), counts)))
                say("right" if answer == truth else f"it was {truth + 1} {printable(names[truth])}")
    for examples, (right, n, unsure, model) in scores.items():
        yours, models = (f"{k / n:.2f} {interval(*wilson(k, n))}" for k in (right, model))
        say(
            f"{examples} examples: you {yours}, of which {unsure} left open; "
            f"the model, zero-shot, {models} (n = {n})"
        )
    say("Nothing was stored." if scores else "No question was answered; nothing was stored.")
    return scores


def _answer(ask, say, question, classes):
    """The reader's answer: a class position, or -1 for "don't know". Raises EOFError."""
    while text := ask(question).strip():
        if text.isdecimal() and 1 <= int(text) <= classes:
            return int(text) - 1
        say(f"a number from 1 to {classes}, or Enter")
    return -1


def write(context) -> dict:
    """The section: the paper's table 2, and this model's accuracy beside it."""
    report, results, line = context.report, {"paper": TABLE_2}, None
    report.section("Comparison with people", "section 4, table 2")
    report.table(
        ("percent, Oxford-IIIT Pets", *COLUMNS),
        [(name, *(f"{v:.1f}" for v in values)) for name, values in TABLE_2.items()],
    )
    report.say(
        f"From the paper: {PEOPLE} people, {PICTURES:,} pictures (n), {CLASSES} breeds. The first "
        "example of each class raised people's accuracy by 22 points, the second by none."
    )
    if context.labelled is not None:
        right = context.zero_shot_right("all")
        results["zero_shot"] = s = share(sum(right.values()), len(right))
        classes = len(context.labelled.class_names)
        line = (
            f"this model, on its own {classes} classes {interval(s['low'], s['high'])}",
            s["value"],
        )
    bars = {
        name: {c: dict.fromkeys(("value", "low", "high"), v / 100) for c, v in zip(COLUMNS, values)}
        for name, values in TABLE_2.items()
    }
    report.figure(
        "humans.png",
        "Bars: the paper's people and CLIP on pets. The dashed line is this model on other "
        "pictures; `python eval.py --quiz` asks you about the same ones.",
        plots.bars,
        bars,
        line=line,
        xlabel="accuracy",
    )
    return results
