"""Section of the report: comparison with people (CLIP, section 4)."""

from miniclip.evaluation.confidence import interval, share
from miniclip.evaluation.human_comparison import CLASSES, COLUMNS, PEOPLE, PICTURES, TABLE_2
from miniclip.evaluation.report import plots


def write(context):
    """The paper's table 2, with this model's accuracy in its figure: EvalContext -> results."""
    report, results, model = context.report, {"paper": TABLE_2}, None
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
        model = (
            f"this model, on its own {len(context.labelled.class_names)} classes "
            f"{interval(s['low'], s['high'])}",
            s["value"],
        )
    report.figure(
        "humans.png",
        "Bars: the paper's people and CLIP on pets. The dashed line is this model on other "
        "pictures; `python eval.py --quiz` asks you about the same ones.",
        plots.draw_human_comparison,
        model,
    )
    return results
