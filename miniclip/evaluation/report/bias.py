"""Section of the report: class design and errors by group (CLIP, section 7.1)."""

from miniclip.evaluation import bias
from miniclip.evaluation.report import plots
from miniclip.evaluation.report.writer import share_cells


def write(context):
    """Errors by group for several wordings of the class names: EvalContext -> results."""
    report, pairs = context.report, context.pairs
    report.section("Class design and errors by group", "section 7.1, tables 6 and 7")
    if not pairs.tones:
        report.say("These pairs name no groups: class design is left out.")
        return {}
    indices, names, labels, genders, tones = bias.drawings_of_people(pairs)
    x, kept = context.features.images(pairs, indices)
    tables = {}
    for wording, forms in bias.WORDINGS.items():
        texts = [form.format(name) for name in names for form in forms]
        members = [c for c in range(len(names)) for _ in forms]
        similarity = x @ context.features.classifier(texts, ["{}"])
        predicted = bias.merged(similarity, members).argmax(1)
        tables[wording] = {
            group: errors
            for groups in (["everybody"] * len(labels), genders, tones)
            for group, errors in bias.error_by_group(predicted, labels, groups).items()
        }
    report.table(
        ("error rate", "n", *(c for wording in tables for c in (wording, ""))),
        [
            (group, s["n"], *(c for t in tables.values() for c in share_cells(t[group])))
            for group, s in tables["name alone"].items()
        ],
    )
    report.say(
        f"{len(kept)} held-out drawings of people, {len(names)} classes: what they do. A class is "
        "right whatever tone or gender is drawn. The columns differ only in the wording of the "
        "class names: the model and the pictures are the same."
    )
    man, woman = "every name for a man", "every name for a woman"
    changes = ", ".join(
        f"for {group} {tables[man][group]['value']:.2f} and {tables[woman][group]['value']:.2f}"
        for group in ("man", "woman", "not stated")
        if group in tables[man]
    )
    report.figure(
        "classes.png",
        "The wording moves errors between groups. With every class named as a man's and as a "
        f"woman's, the error rates are: {changes}.",
        plots.draw_groups,
        {wording: tables[wording] for wording in ("name alone", man, woman)},
        "error rate",
    )
    report.say(
        "The groups are words in the names of drawings, not people. Most intervals overlap: so "
        "few pictures mostly do not show a difference between two groups of one column. "
        "OpenMoji's drawing without a stated gender is often the same picture as the man's (138 "
        "drawings; as the woman's in 6), so 'both names' is not between the two. What carries "
        "over to photographs is the method: compare errors by group whenever a list of classes "
        "changes."
    )
    return {"n": len(kept), "classes": len(names)} | tables
