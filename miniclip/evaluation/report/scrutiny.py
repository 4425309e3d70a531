"""The report's parts on what scores hide: data overlap (CLIP, section 5), class design and its groups
(7.1), and people in the model's place (4). Each takes an EvalContext, writes its section, returns its results."""

import numpy as np

from miniclip.evaluation import bias, humans
from miniclip.evaluation.confidence import share
from miniclip.evaluation.data_overlap import (
    THRESHOLD,
    all_minus_clean,
    base_emoji,
    near_duplicates,
    thumbnails,
)
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import interval
from miniclip.evaluation.retrieval import Gallery
from miniclip.evaluation.synthetic_duplicates import trial

MOST = 20_000  # training pictures to compare with


def overlap(e):
    """Section 5: near-duplicates of training pictures in the tests, and what they do to the score."""
    pairs, report = e.pairs, e.report
    report.section("Data overlap", "section 5, figure 17")
    known = pairs.splits.get("train") or []
    if not known:
        report.say("It is not known what this model was trained on, or nothing of it is here: overlap "
                   "is left out.")  # fmt: skip
        return {}
    if len(known) > MOST:
        known = np.random.default_rng(0).choice(known, MOST, replace=False).tolist()
        report.say(f"Compared with {MOST:,} training pictures drawn at random: a lower bound.")
    if not e.own_data:
        report.say(f"This model's training data is not recorded; the training split of {pairs.name} stands "
                   "for it, so this shows the method and nothing about the model.")  # fmt: skip
    training, known = thumbnails(pairs, known)
    results, rows, page, known_of = {}, [], [], {}
    for name, source, indices, right in _answers(e):
        nearest = known_of.setdefault(id(source), {})  # several tests ask about the same pictures
        pictures, new = thumbnails(source, [i for i in indices if i not in nearest])
        nearest |= zip(new, zip(*(v.tolist() for v in near_duplicates(pictures, training))))
        kept = [i for i in indices if i in nearest]
        distance, position = (np.array([nearest[i][k] for i in kept]) for k in (0, 1))
        found = distance <= THRESHOLD
        results[name] = s = all_minus_clean([right[i] for i in kept], found)
        if s["interval"]:
            rows.append((name, s["share"], s["all_minus_clean"], *s["interval"]))
        page += [(d, source.image(i), pairs.image(known[p]), _caption(pairs, source, i, known[p], d))
                 for i, d, p in zip(kept, distance.tolist(), position.tolist()) if d <= THRESHOLD]  # fmt: skip
    report.table(("", "n", "overlap", "All", "overlapping", "clean", "All - Clean", "95 %", "p"), [
        (name, s["n"], s["n_overlap"], s["all"], s["overlap"], s["clean"], s["all_minus_clean"],
         interval(*s["interval"]) if s["interval"] else "-", s["p_value"])
        for name, s in results.items()])  # fmt: skip
    report.say("All - Clean is what the overlap adds to a score; its interval is made of two of "
               "Clopper-Pearson's. p: a one-sided binomial test of the overlap against the clean part.")  # fmt: skip
    if rows:
        plots.draw_overlap(rows, report.path("overlap.png"))
        report.figure("overlap.png", "Where an interval holds 0, the overlap cannot be shown to have "
                      "helped (figure 17); the paper finds a median of 2.2 % overlap.")  # fmt: skip
    if page:
        page = sorted(page, key=lambda found: found[0])
        shown = min(24, len(page))
        chosen = [page[k * len(page) // shown][1:] for k in range(shown)]
        plots.draw_found(chosen, report.path("duplicates.png"))
        report.figure("duplicates.png", f"{len(chosen)} of the {len(page)} pairs found, test left and training "
                      "right, from the surest to the least sure: judge them yourself.")  # fmt: skip
    if hasattr(pairs, "rows"):
        report.say("The embedded pictures are full of relatives: Unicode draws one base emoji in five tones "
                   "and two genders. Such variants are near-duplicates by nature, they are counted as overlap "
                   "here, and telling them apart is what the compositions test.")  # fmt: skip
        results["detector"] = found = trial(pairs)
        report.say(f"The detector itself: of {found['planted']} planted near-duplicates (resized, cropped, "
                   f"recompressed, recoloured) it finds {found['found']}, and cries out at {found['false']} of "
                   f"{found['clean']} strangers: recall {found['recall']:.2f}, precision "
                   f"{found['precision']:.2f}.")  # fmt: skip
    return results


def _answers(e):
    """What can be right or wrong about single pictures: (name, source, indices, {index: bool})."""
    if e.labelled is not None:
        x, y, kept = e.seen("all")
        hits = ((x @ e.weights()).argmax(1) == y).tolist()
        yield "zero-shot", e.labelled.pictures, kept, dict(zip(kept, hits))
    for split, indices in e.pairs.splits.items():
        if split == "train" or not indices:
            continue
        gallery = Gallery(e.subject.model, e.subject.tokenizer, e.pairs, e.pairs.gallery(split),
                          e.subject.pictures)  # fmt: skip
        ranks = gallery.ranks_of(indices)
        if ranks is not None:
            wanted = set(indices)
            kept = [i for i in gallery.kept if i in wanted]
            hits = (ranks[1] <= 1).tolist()
            name = f"image to text R@1, {split.removeprefix('heldout_')}"
            yield name, e.pairs, kept, dict(zip(kept, hits))


def _caption(pairs, source, test, training, distance):
    own = pairs.captions(test)[0][:24] if source is pairs else "test"
    return f"{own}\n{pairs.captions(training)[0][:24]}\n{distance:.3f}"


def class_design(e):
    """Section 7.1: the list of names decides who is misclassified."""
    report, pairs = e.report, e.pairs
    report.section("Class design, and who pays for it", "section 7.1, tables 6 and 7")
    if not hasattr(pairs, "tones"):
        report.say("These pairs name no groups: class design is left out.")
        return {}
    indices, names, labels, genders, tones = bias.people(pairs, base_emoji)
    x, kept = e.subject.pictures(pairs, indices)
    tables, results = {}, {"n": len(kept), "classes": len(names)}
    for wording, forms in bias.WORDINGS.items():
        said = [form.format(name) for name in names for form in forms]
        members = [c for c in range(len(names)) for _ in forms]
        predicted = bias.merged(x @ e.subject.classifier(said, ["{}"]), members).argmax(1)
        wrong = int((predicted != labels).sum())
        tables[wording] = {"everybody": share(wrong, len(labels))}
        for groups in (genders, tones):
            tables[wording] |= bias.error_by_group(predicted, labels, groups)
        results[wording] = tables[wording]
    groups = list(tables["name alone"])
    report.table(("error rate", "n", *(c for w in tables for c in (w, ""))), [
        (g, tables["name alone"][g]["n"],
         *(c for t in tables.values() for c in (t[g]["value"], interval(t[g]["low"], t[g]["high"]))))
        for g in groups])  # fmt: skip
    report.say(f"{len(kept)} held-out drawings of people, {len(names)} classes of what they do; a class is "
               "right whatever tone or gender is drawn. Only the wording of the list of names differs between "
               "columns: the model and the pictures are the same.")  # fmt: skip
    plots.draw_groups({w: tables[w] for w in ("name alone", "every name for a man",
                                                "every name for a woman")},
                        report.path("classes.png"))  # fmt: skip
    a, b = (tables[w] for w in ("every name for a man", "every name for a woman"))
    moves = ", ".join(f"for {g} {a[g]['value']:.2f} and {b[g]['value']:.2f}"
                      for g in ("man", "woman", "not stated") if g in a)  # fmt: skip
    report.figure("classes.png", f"The wording moves errors between groups: with every class named as a man's "
                  f"and as a woman's, the error rate is {moves}.")  # fmt: skip
    report.say("With care: the groups are words in the names of drawings, not people; most intervals overlap, "
               "so a difference between two groups in one column is mostly not shown by so few pictures. "
               "OpenMoji's drawing without a stated gender is often the man's, pixel for pixel (138 drawings; "
               "the woman's in 6), so 'both names' is no middle. What carries over to photographs is the "
               "habit: look at errors by group whenever a list of classes changes.")  # fmt: skip
    return results


def people(e):
    """Section 4: how people did where CLIP was asked, and how to take their chair."""
    report = e.report
    report.section("People in the model's place", "section 4, table 2")
    rows = [(name, *(f"{v:.1f}" for v in values)) for name, values in humans.TABLE_2.items()]
    report.table(("percent, Oxford-IIIT Pets", *humans.COLUMNS), rows)
    report.say(f"From the paper: {humans.PEOPLE} people, {humans.PICTURES:,} pictures (n), {humans.CLASSES} "
               "breeds. One example a class helped people by 22 points, a second by none.")  # fmt: skip
    results = {"paper": humans.TABLE_2}
    own = None
    if e.labelled is not None:
        x, y, _ = e.seen("all")
        results["zero_shot"] = s = share(int(((x @ e.weights()).argmax(1) == y).sum()), len(y))
        own = (f"this model, on its own {len(e.labelled.class_names)} classes "
               f"[{s['low']:.2f}, {s['high']:.2f}]", s["value"])  # fmt: skip
    plots.draw_humans(own, report.path("humans.png"))
    report.figure("humans.png", "Bars: the paper's people and CLIP on pets. The dashed line is this model on "
                  "other pictures altogether; `python eval.py --quiz` puts you beside it on the same ones.")  # fmt: skip
    return results
