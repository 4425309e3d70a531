"""Section of the report: text and image retrieval (CLIP, appendix; the protocol of Flickr30k)."""

from miniclip.evaluation.confidence import interval
from miniclip.evaluation.report import plots
from miniclip.evaluation.retrieval import recall_by_size, table

SIZES = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def write(context):
    """Captions as queries among pictures and pictures among captions: EvalContext -> results."""
    pairs, report = context.pairs, context.report
    report.section(
        "Retrieval", "the paper's table of text and image retrieval; Flickr30k's protocol"
    )
    scores, galleries = context.retrieval
    if not scores:
        report.say("No pairs were held out: there is nothing to retrieve.")
        return {}
    report.text(table(scores))
    both_ways = {
        f"{split.removeprefix('heldout_')}: {way.replace('_', ' ')}": both[way]
        for split, both in scores.items()
        for way in ("text_to_image", "image_to_text")
    }
    report.table(
        ("R@1 and R@10 with 95 %", "R@1", "", "R@10", "", "n"),
        [
            (
                name,
                s["R@1"],
                interval(*s["intervals"]["R@1"]),
                s["R@10"],
                interval(*s["intervals"]["R@10"]),
                s["n"],
            )
            for name, s in both_ways.items()
        ],
    )
    report.say(
        "R@k is the share of queries whose answer is among the first k of the gallery. Chance is a "
        "gallery in random order."
    )
    split, gallery = next(iter(galleries.items()))
    queries, answers = pairs.queries(split)
    report.figure(
        "retrieval.png",
        "Each row is a query with the pictures nearest to it, the nearest first. A green frame "
        "marks the picture that the caption belongs to.",
        plots.draw_retrieval,
        gallery,
        queries,
        answers=answers,
    )
    curves = {}
    for split, gallery in galleries.items():
        size = len(gallery.pictures)
        ranks = gallery.ranks_of(pairs.splits[split])[0]
        curves[split] = recall_by_size(ranks, size, [s for s in SIZES if s < size] + [size])
    report.figure(
        "candidates.png",
        "R@1 from text to image by the size of the gallery: recalls can be compared only at the "
        "same size.",
        plots.draw_recall_by_size,
        curves,
    )
    return scores | {"by_candidates": curves}
