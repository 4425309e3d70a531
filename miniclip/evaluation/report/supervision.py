"""The report's parts on what labels add: probes and shots (CLIP, sections 3.1.5 and 3.2), robustness
from zero-shot to a full probe (3.3), and the digits of section 6. Each takes an EvalContext, writes its
section, and returns its results."""

import numpy as np
import torch

from miniclip.common import UserError
from miniclip.evaluation import context, linear_probe
from miniclip.evaluation import robustness as shift
from miniclip.evaluation.confidence import share
from miniclip.evaluation.features import raw_pixels
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import COLUMNS, interval, row
from miniclip.zeroshot import accuracy, scores


def probes(e):
    """Sections 3.1.5 and 3.2: logistic regression on frozen features. EvalContext -> dict of results."""
    report, home, (members, shots) = e.report, e.labelled, e.learnable
    report.section("Linear probes and few shots", "sections 3.1.5 and 3.2; figures 6, 7 and 8")
    if not shots:
        report.say("Too few labelled pictures to learn from: probes are left out.")
        return {}
    if len(members) < len(home.class_names):
        left = [n for c, n in enumerate(home.class_names) if c not in members]
        report.say(
            f"Left out, with fewer than {shots[-1]} pictures to learn from: {', '.join(left)}."
        )
    right, n = e.zero_shot_accuracy(home.pictures, home.splits["test"], home.labels)
    zero = share(right, n)
    means = {name: {k: float(np.mean(tests["home"])) for k, tests in p["curve"].items()}
             for name, p in e.probes.items()}  # fmt: skip
    rows = []
    for name, p in e.probes.items():
        for k, tests in p["curve"].items():
            low, high = min(tests["home"]), max(tests["home"])
            rows.append((f"{name}, {k} shots", means[name][k], f"{low:.2f} to {high:.2f}", n))
        whole = share(round(p["full"]["home"] * n), n)
        rows.append(
            (f"{name}, all pictures", whole["value"], interval(whole["low"], whole["high"]), n)
        )
    report.table(("", "accuracy", f"range of {e.seeds} seeds, or [95 %]", "n"), [
        ("zero-shot, ensemble", zero["value"], interval(zero["low"], zero["high"]), n), *rows])  # fmt: skip
    worth = linear_probe.shots_worth(means["this model"], zero["value"])
    plots.draw_shots({name: {k: t["home"] for k, t in p["curve"].items()} for name, p in e.probes.items()},
                       (zero["value"], zero["low"], zero["high"]), report.path("shots.png"))  # fmt: skip
    least = "more than were tried" if worth is None else f"about {worth:.1f}"
    report.figure("shots.png", f"Where the blue line crosses the dashed one, labels are worth as much as "
                  f"names: {least} a class (figure 7; the paper's median is 5.4). The other two lines need "
                  "no training on pairs at all.")  # fmt: skip
    gap = {"home": (e.probes["this model"]["full"]["home"], zero["value"])}
    for name, source in e.shifts.items():
        if name in e.probes["this model"]["full"]:
            hits, count = e.zero_shot_accuracy(*source)
            gap[name] = (e.probes["this model"]["full"][name], hits / count)
    plots.draw_gap(gap, report.path("gap.png"))
    report.figure("gap.png", "A point below the diagonal is a data set on which a probe finds more in the "
                  "features than the names ask for (figure 8).")  # fmt: skip
    return {"zero_shot": zero, "shots_worth": worth, "gap": gap,
            "probes": {name: p | {"mean": means[name]} for name, p in e.probes.items()}}  # fmt: skip


def robustness(e):
    """Section 3.3: the same classes in other drawings. EvalContext -> dict of results."""
    report, home, results = e.report, e.labelled, {}
    report.section("Robustness to natural shift", "section 3.3; figures 13, 14 and 15")
    for sentence in e.missing:
        report.say(sentence)
    tests = {"home": (home.pictures, home.splits["test"], home.labels), **e.shifts}
    if e.shifts and e.learnable[1]:
        zero = {name: share(*e.zero_shot_accuracy(*source)) for name, source in tests.items()
                if len(source[1])}  # fmt: skip
        report.table(("zero-shot", "accuracy", "95 %", "n"), [
            (name, s["value"], interval(s["low"], s["high"]), s["n"]) for name, s in zero.items()])  # fmt: skip
        names = [name for name in zero if name != "home"]

        def both(scores_of):  # (at home, mean over the shifts)
            return float(np.mean(scores_of("home"))), float(
                np.mean([np.mean(scores_of(n)) for n in names])
            )

        families = {}
        for kind, p in e.probes.items():
            steps = [both(lambda t, c=c: c[t]) for c in p["curve"].values()]
            families[f"probes on {kind}"] = [*steps, both(lambda t: p["full"][t])]
        ours = families.pop("probes on this model")
        try:
            line = shift.baseline(*zip(*[point for f in families.values() for point in f]))
        except UserError as error:
            report.say(f"No effective robustness: {error}.")
            return {"zero_shot": zero} | digits(e)
        here = both(lambda t: zero[t]["value"])
        families |= {"probes on this model": ours, "zero-shot": [here]}
        plots.draw_shift(families, line, report.path("shift.png"))
        report.figure("shift.png", "Each point is a classifier; the line is fitted to those that never saw "
                      "a caption, and height above it is effective robustness (figure 13).")  # fmt: skip
        labels = ["zero-shot", *(f"{k} shots" for k in e.learnable[1]), "all"]
        points = [here, *ours]
        effective = [float(shift.effective_robustness(a, s, line)) for a, s in points]
        report.table(("classifier", "home", "shifted, mean", "effective robustness", "n at home"), [
            (lab, a, s, r, zero["home"]["n"]) for lab, (a, s), r in zip(labels, points, effective)])  # fmt: skip
        plots.draw_robustness(
            labels, [a for a, _ in points], effective, report.path("robustness.png")
        )
        report.figure("robustness.png", "In the paper accuracy at home rises with supervision while effective "
                      "robustness falls (figures 14 and 15); read here whether it does, with n in mind.")  # fmt: skip
        results = {"zero_shot": zero, "baseline": line, "points": dict(zip(labels, points)),
                   "effective_robustness": dict(zip(labels, effective))}  # fmt: skip
    else:
        report.say(
            "No shift to measure: give the same classes in other pictures with --shift NAME=FOLDER."
        )
    return results | digits(e)


def digits(e):
    """The paper's MNIST paragraph (section 6): far from the training pictures, labels win."""
    try:
        found = context.digits()
        x, kept = e.subject.pictures(found.pictures, found.splits["test"])
        y = torch.tensor([found.labels[i] for i in kept])
        results = {
            "zero-shot": scores(
                x
                @ e.subject.classifier(found.class_names, ["{}", "the number {}", "the digit {}"]),
                y,
            )
        }
        for name, encode in (
            ("probe on this model", e.subject.pictures),
            ("probe on raw pixels", raw_pixels),
        ):
            known, learned = encode(found.pictures, found.splits["train"])
            fitted = linear_probe.fit(known, torch.tensor([found.labels[i] for i in learned]), 1.0)
            results[name] = accuracy(fitted.predict(encode(found.pictures, kept)[0].numpy()), y)
    except UserError as error:
        e.report.say(f"The handwritten digits are left out: {error}.")
        return {}
    e.report.table(COLUMNS, [row(f"digits: {name}", s) for name, s in results.items()])
    e.report.say("Handwriting is nothing like the training pictures. The paper: zero-shot 88 % on MNIST, "
                 "below a logistic regression on raw pixels.")  # fmt: skip
    return {"digits": results}
