"""Section of the report: zero-shot on a site that was never seen (CLIP, section 3.1)."""

from miniclip import plots
from miniclip.evaluation.confidence import share, share_cells
from miniclip.evaluation.unseen_site import correct, labelled, unknown_names

SHOWN = 16  # pictures in answers.png
COLUMNS = ("names", "top-1", "95 %", "top-5", "95 %", "n", "classes", "chance")


def write(context):
    """Names that training sites have too, and names that none has: EvalContext -> results."""
    report, site, pairs = context.report, context.unseen, context.pairs
    place = ", ".join(pairs.held_out_sites)
    report.section(f"Zero-shot on {place}, a site never seen", "section 3.1")
    results, rows = {}, []
    for group, names in {"of the training sites too": site.names, **unknown_names(pairs)}.items():
        indices, right = labelled(pairs, "heldout_site", names)
        if not indices:
            continue
        scores = site.scores(indices, names)
        found = {
            f"top-{k}": share(int(correct(scores, right, k).sum()), len(indices)) for k in (1, 5)
        }
        found |= {"classes": len(names), "chance": right.float().mean().item()}
        cells = [cell for k in (1, 5) for cell in share_cells(found[f"top-{k}"])]
        rows.append((group, *cells, len(indices), len(names), f"{found['chance']:.4f}"))
        results[group] = found
    report.table(COLUMNS, rows)
    report.say(
        f"The pictures are those of {place} that have such a name, the classes all such names. No "
        "picture of the site was trained on. Below the first row no training picture has the "
        "name: either its words are known from other names, or one of them was never seen. Each "
        "row has its own classes, so the rows differ in chance."
    )
    shown = [k * len(site.tests) // SHOWN for k in range(min(SHOWN, len(site.tests)))]
    nearest = site.zero_shot.topk(min(3, len(site.names)), dim=1).indices.tolist()
    report.figure(
        "answers.png",
        f"{len(shown)} pictures of {place}, evenly spaced in the order of the test, and the names "
        f"nearest to them among {len(site.names)}, the nearest first; right names are green.",
        plots.grid,
        [
            (
                pairs.image(site.tests[row]),
                "",
                [(site.names[c][:22], bool(site.right[row, c])) for c in nearest[row]],
            )
            for row in shown
        ],
    )
    return results
