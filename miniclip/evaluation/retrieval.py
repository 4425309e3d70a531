"""Retrieval: does a caption find its picture, and a picture its caption? (CLIP, section 3.1 and
appendix; the protocol is the one of Flickr30k and COCO.)

Both sides are embedded once. The similarity of every query with everything in the gallery is
computed for a block of queries at a time, and only the rank of the right answer is kept. R@k is the
share of queries whose answer is among the first k. At most BLOCK similarities are held at a time, or
the similarities of one query if the gallery is larger than BLOCK.
Left out: re-ranking, and ensembles of texts or pictures.
"""

import functools
from itertools import zip_longest

import torch

from miniclip import plots
from miniclip.common import checked, refuse, refusing
from miniclip.data.dataset import printable
from miniclip.evaluation.confidence import interval, wilson
from miniclip.zeroshot import products

BLOCK = 1 << 22  # similarities held at a time: 16 MiB in fp32


@checked
def ranks(
    queries: torch.Tensor, gallery: torch.Tensor, wanted: torch.Tensor, owner: torch.Tensor
) -> torch.Tensor:
    """Rank, from 1, of the best right answer to each query: (Q,) fp32.

    queries (Q, E) and gallery (G, E) are unit features. Entry j of the gallery is a right answer to
    query i if owner[j] == wanted[i] (int64, (G,) and (Q,)). Each query needs at least one right
    answer. Answers that tie share the mean of their places, so a model that gives everything the
    same similarity is at chance. Raises UserError if the features are not finite, or if a query has
    no right answer.
    """
    refuse(
        {
            "the features are not finite: this model has diverged": not (
                queries.isfinite().all() and gallery.isfinite().all()
            ),
            "wanted needs an entry for each query, and owner one for each entry of gallery": (
                (wanted.shape, owner.shape) != (queries.shape[:1], gallery.shape[:1])
            ),
            "queries and gallery must be rows of one width": (
                not queries.ndim == gallery.ndim == 2 or queries.shape[1] != gallery.shape[1]
            ),
            "a query has no right answer in the gallery": not torch.isin(wanted, owner).all(),
        }
    )
    result = torch.empty(len(queries), dtype=torch.float32, device="cpu")
    step = max(1, BLOCK // max(1, len(gallery)))
    for first in range(0, len(queries), step):
        rows = slice(first, first + step)
        similarity = products(queries[rows], gallery.T)
        right = wanted[rows, None] == owner
        best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        better = (similarity > best).sum(1)
        ties = ((similarity == best) & ~right).sum(1)
        result[rows] = 1 + better + ties.float() / 2
    return result


@checked
def recalls(rank, gallery_size: int) -> dict:
    """{'R@1', 'R@5', 'R@10', 'intervals', 'median_rank', 'n', 'gallery'} from ranks (Q,). The
    recalls are fractions of 1, and 'intervals' holds the 95 % interval of each of them (Wilson).
    Raises UserError for ranks below 1 or above gallery_size, and if there are none."""
    with refusing("ranks must be numbers"):
        rank = torch.as_tensor(rank, dtype=torch.float64, device="cpu")
    refuse(
        {
            f"ranks must be one or more numbers from 1 to {gallery_size}": not (
                rank.ndim == 1 and len(rank) and (rank.clamp(1, gallery_size) == rank).all()
            )
        }
    )
    right = {f"R@{k}": int((rank <= k).sum()) for k in (1, 5, 10)}
    return {
        **{name: hits / len(rank) for name, hits in right.items()},
        "intervals": {name: wilson(hits, len(rank)) for name, hits in right.items()},
        "median_rank": rank.quantile(0.5).item(),
        "n": len(rank),
        "gallery": gallery_size,
    }


@checked
def chance(gallery_size: int) -> dict:
    """The recalls and median rank to expect from a gallery in random order. Raises UserError for an
    empty one."""
    refuse({f"a gallery needs at least 1 entry, not {gallery_size}": gallery_size < 1})
    scores = {f"R@{k}": min(1.0, k / gallery_size) for k in (1, 5, 10)}
    return {**scores, "median_rank": (gallery_size + 1) / 2, "gallery": gallery_size}


class Gallery:
    """The pictures and captions to search among, encoded once.

    features: the FeatureCache of the model; indices: which of `pairs` are in it. Pictures that cannot be
    read are left out, and so are their captions.
    Fields: `pictures` (K, E) and `kept` (K indices); `texts` (T, E), `captions` (T strings) and
    `owner` (T positions in `kept`).
    """

    def __init__(self, features, pairs, indices):
        self.features, self.pairs = features, pairs
        self.pictures, self.kept = features.images(pairs, indices)
        lists = [pairs.captions(i) for i in self.kept]
        self.captions = [caption for captions in lists for caption in captions]
        self.owner = torch.tensor([k for k, captions in enumerate(lists) for _ in captions])

    @functools.cached_property
    def texts(self):
        """The features of the captions, which are computed when they are first asked for."""
        return self.features.texts(self.captions)

    def evaluate(self, indices):
        """{'text_to_image': recalls, 'image_to_text': recalls} of the pairs `indices`.

        Each caption of these pairs is a query among all pictures of the gallery. Each picture of
        these pairs is a query among all captions, and any caption of the picture is a right answer.
        Returns None if none of the pairs is in the gallery.
        """
        found = self.ranks_of(indices)
        return found and {
            "text_to_image": recalls(found[0], len(self.pictures)),
            "image_to_text": recalls(found[1], len(self.texts)),
        }

    def ranks_of(self, indices):
        """The ranks that `evaluate` summarizes, or None: (the rank of each caption's picture
        (captions,) fp32, the rank of each picture's best caption (pictures,) fp32), in the order of
        the gallery."""
        wanted = set(indices)
        position = torch.tensor([k for k, i in enumerate(self.kept) if i in wanted])
        if len(position) == 0:
            return None
        asking = torch.isin(self.owner, position).nonzero()[:, 0]
        everyone = torch.arange(len(self.kept))
        return (
            ranks(self.texts[asking], self.pictures, self.owner[asking], everyone),
            ranks(self.pictures[position], self.texts, position, self.owner),
        )

    def search(self, query, k=8):
        """The k pictures nearest to a text: list of (index into pairs, cosine), best first."""
        cosines = products(self.features.texts([query]), self.pictures.T)[0]
        cosine, order = cosines.topk(min(k, len(self.kept)))
        return [(self.kept[i], c) for i, c in zip(order.tolist(), cosine.tolist())]


def evaluate_heldout(features, pairs) -> tuple[dict, dict]:
    """Retrieval on every held-out split of `pairs`, and the galleries used.

    Returns ({split: {'text_to_image': ..., 'image_to_text': ..., 'chance': ...}}, {split:
    Gallery}). If the gallery is larger than the split, there is also 'among_held_out': text to
    image with the split alone as the gallery. The split heldout_compositions, which the embedded
    emoji have, also has 'tone_blind_oracle': the recalls of a model that makes no mistake but
    cannot see skin tone. A split without a picture that can be read is left out. features: the
    FeatureCache of a model.
    """
    results, galleries = {}, {}
    gallery_of = functools.cache(functools.partial(Gallery, features, pairs))
    held_out = {split: own for split, own in pairs.splits.items() if split != "train" and own}
    for split, indices in held_out.items():
        among = tuple(pairs.gallery(split))
        if scores := gallery_of(among).evaluate(indices):
            scores["chance"] = chance(scores["text_to_image"]["gallery"])
            if len(among) > len(indices):  # the easier task of small test sets
                alone = gallery_of(tuple(indices)).evaluate(indices)
                scores["among_held_out"] = alone["text_to_image"]
            if split == "heldout_compositions":
                scores["tone_blind_oracle"] = pairs.tone_blind_oracle(indices)
            results[split], galleries[split] = scores, gallery_of(among)
        else:
            print(f"no picture of {split} can be read, so it is not evaluated")
    return results, galleries


ROWS = {
    "text_to_image": "text to image",
    "image_to_text": "image to text",
    "tone_blind_oracle": "text to image, tone-blind oracle",
    "chance": "text to image, chance",
    "among_held_out": "text to image, among the held-out",
}
COLUMNS = ("", "R@1", "95 %", "R@5", "R@10", "95 %", "median", "n", "gallery")


def rows(results: dict) -> list[tuple]:
    """The first result of evaluate_heldout as rows of a table with COLUMNS."""
    found = []
    for split, scores in results.items():
        for task in [task for task in ROWS if task in scores]:
            s = {"n": scores["text_to_image"]["n"]} | scores[task]
            one, _, ten = [interval(*i) for i in s.get("intervals", {}).values()] or [None] * 3
            name = f"{split.removeprefix('heldout_')}: {ROWS[task]}"
            median = f"{s['median_rank']:.1f}" if "median_rank" in s else None
            found.append(
                (name, s["R@1"], one, s["R@5"], s["R@10"], ten, median, s["n"], s["gallery"])
            )
    return found


def draw_retrieval(gallery, queries, path, columns=8, answers=()):
    """Draw the nearest pictures to each query, best first, with their cosines.

    gallery: a Gallery; columns: how many pictures for each query; answers: for each query the index of
    its picture, whose cosine is green, or None.
    """
    refuse({"no picture can be read, so none can be found": not gallery.kept})
    columns, cells = min(columns, len(gallery.kept)), []
    for query, answer in zip_longest(queries, answers):
        title = f"“{printable(query, 200)}”"
        for index, cosine in gallery.search(query, columns):
            cells.append((gallery.pairs.image(index), title, f"{cosine:.2f}", index == answer))
            title = ""
    plots.grid(cells, path, columns)


def write(context) -> dict:
    """The section: captions as queries among pictures, and pictures among captions. Raises UserError
    if no pairs were held out."""
    pairs, report = context.pairs, context.report
    report.section(
        "Retrieval", "the paper's table of text and image retrieval; Flickr30k's protocol"
    )
    scores, galleries = context.retrieval
    refuse({"no pairs were held out, so there is nothing to retrieve": not scores})
    report.table(COLUMNS, rows(scores))
    report.say(
        "R@k is the share of queries whose answer is among the first k of the gallery. Chance is "
        "what a gallery in random order would give. Recalls can only be compared at the same size of "
        "the gallery."
    )
    split, gallery = next(iter(galleries.items()))
    queries, answers = pairs.queries(split)
    report.figure(
        "retrieval.png",
        "Each row shows a query and the pictures nearest to it, the nearest first, with their "
        "cosines. The picture that the caption belongs to has a green cosine.",
        draw_retrieval,
        gallery,
        queries,
        answers=answers,
    )
    return scores
