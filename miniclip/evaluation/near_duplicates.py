"""Near-duplicates: which pictures are also in a set of known ones? (CLIP, section 5 and appendix C)

The paper trained a detector. The detector here is computed from pixels. It makes a shortlist of
candidates by the correlation of thumbnails, aligns each candidate (one picture may be a crop of the
other), and fits its colours. The distance is then the largest local difference that is left. The
mean difference would not do: two emoji may differ only in a beard, which a mean would miss.
Lesson 16 and tests/evaluation/test_near_duplicates.py make changed copies of pictures with
lessons/drawings/copies.py, and measure how many of the copies the detector finds.
Left out: mirrored and rotated copies, crops that keep less than 85 % of the side, and pictures of a
single colour.
Lesson: lessons/16_overlap.md.
"""

import re

import torch
from torch.nn import functional as F

from miniclip.common import checked, refuse
from miniclip.evaluation.features import pixels

SIDE, FINE = 64, 32  # pixels of a thumbnail, and of an aligned comparison
# A picture counts as a near-duplicate if its largest local difference is not above this. A local
# difference is the root mean square, over 6 x 6 pixels, of the length of the difference in RGB
# (0..1).
# 98 of 100 synthetic duplicates lie below the threshold (95 to 100, by seed), and 4 of 1,000 clean
# pictures (0 to 8). These are means of eight seeds, of which five were not used in the design.
# tried instead: the cosine of raw pixels (families.ink). A threshold of .95 finds 30 of 40
# duplicates, but also takes 128 of 400 clean emoji for duplicates
THRESHOLD = 0.1
SHORTLIST = 7  # align at most so many candidates
MIN_CORRELATION = 0.65  # a candidate correlates at least so much
# boxes that the shortlist tries: (share of the side, x, y of the centre in -1..1)
STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)
BOXES = [(1.0, 0.0, 0.0)] + [(0.9, x, y) for x in STEPS for y in STEPS]
GENDERED = re.compile(r"\b(wom[ae]n|m[ae]n|person|people|boy|girl|child)\b[ :,]*")


def base_emoji(name: str) -> str:
    """A name without skin tones and gender: "woman firefighter: dark skin tone" -> "firefighter".

    Unicode builds such variants from one base emoji; their pictures are near-duplicates by design.
    """
    name = re.sub(r"[:,] (light|medium-light|medium|medium-dark|dark) skin tone", "", name)
    return GENDERED.sub("", name).strip(" :,") or name


def thumbnails(source, indices) -> tuple[torch.Tensor, list[int]]:
    """source.image(i) for each i in indices: ((K, 3, 64, 64) fp32 in 0..1, the K indices kept)."""
    images, kept = pixels(source, indices, SIDE)
    return images.permute(0, 3, 1, 2), kept


@checked
def near_duplicates(
    queries: torch.Tensor, known: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The most similar known picture of each query: (distance (Q,) fp32, position (Q,) int64).

    queries (Q, 3, 64, 64), known (K, 3, 64, 64) from `thumbnails`; UserError is raised for levels
    up to 255 in the place of 0..1. A distance of THRESHOLD or less
    means a near-duplicate. The distance of a query without a candidate is infinite. The shortlist
    costs Q x K x 22,000 multiplications, and then each query costs up to 7 alignments.
    """
    refuse(
        {
            f"queries and known must be float32 (K, 3, {SIDE}, {SIDE})": any(
                x.shape[1:] != (3, SIDE, SIDE) or x.dtype != torch.float32 for x in (queries, known)
            ),
            "the pixels of queries and known must be from 0 to 1, and not to 255 or NaN": not all(
                (x.abs() <= 2).all() for x in (queries, known)
            ),
        }
    )
    if not len(queries) or not len(known):
        return queries.new_full((len(queries),), torch.inf), torch.zeros(len(queries)).long()
    found = []
    for some in queries.split(256):
        near, box, crop_query, correlation = _shortlist(some, known)
        q, rank = (correlation >= MIN_CORRELATION).nonzero().T
        left = some.new_full(near.shape, torch.inf)
        if len(q):
            swap = crop_query[q, rank][:, None, None, None]
            a, b = _blur(some)[q], _blur(known[near[q, rank]])
            whole, cut = torch.where(swap, b, a), torch.where(swap, a, b)
            everything = some.new_tensor(BOXES[:1]).expand(len(q), 3)
            left[q, rank] = _difference(cut, _sample(whole, everything), box[q, rank])
        best, which = left.min(1)
        found.append((best, near.gather(1, which[:, None])[:, 0]))
    return tuple(map(torch.cat, zip(*found)))


def _shortlist(queries, known):
    """For each query the SHORTLIST known pictures whose 12 x 12 thumbnails correlate best with it,
    when either of the two is cropped to any of BOXES: (positions (Q, S), boxes (Q, S, 3), whether
    the query is the one to crop (Q, S) bool, correlations (Q, S))."""
    best = queries.new_full((len(queries), len(known)), -torch.inf)
    how = torch.zeros_like(best, dtype=torch.long)  # box number, + len(BOXES) if it is the query's
    coarse_queries, coarse_known = _coarse(queries), _coarse(known)
    boxes = queries.new_tensor(BOXES)
    for k, box in enumerate(boxes):
        crops = [(coarse_queries, _coarse(_sample(known, box.expand(len(known), 3))))]
        if k:  # the first box crops nothing
            crops.append((_coarse(_sample(queries, box.expand(len(queries), 3))), coarse_known))
        for which, (a, b) in enumerate(crops):
            similarity = a @ b.T
            how[similarity > best] = k + which * len(BOXES)
            best = torch.maximum(best, similarity)
    # A channel that is flat in both pictures does not count, such as the red one of two pictures
    # of a red circle on white. A length below .8 means a standard deviation below .02
    flat_queries, flat_known = (
        (x.unflatten(1, (3, -1)).norm(dim=2) < 0.8).float() for x in (coarse_queries, coarse_known)
    )
    best /= (3 - flat_queries @ flat_known.T).clamp(min=1)
    best, near = best.topk(min(SHORTLIST, len(known)), 1)
    how = how.gather(1, near)
    return near, boxes[how % len(BOXES)], how >= len(BOXES), best


def _difference(cut, whole, box):
    """Crop `cut` (P, 3, 64, 64) so that it correlates with `whole` (P, 3, 32, 32) best, starting
    from box (P, 3); fit its colours, and return the largest local difference that is left: (P,)."""
    target = _unit(whole)

    def correlation(box):
        return (_unit(_sample(cut, box)) * target).sum((1, 2))

    best, signs = correlation(box), box.new_tensor([-1.0, 0.0, 1.0])
    for step in (0.03, 0.015, 0.008):  # 3 x 3 x 3 neighbours (side, x, y), then nearer ones
        start = box
        for move in torch.cartesian_prod(signs, signs, signs) * step:
            side, centre = (start + move).split([1, 2], 1)
            side = side.clamp(0.85, 1)
            centre = centre.maximum(side - 1).minimum(1 - side)  # inside the picture
            trial = torch.cat([side, centre], 1)
            score = correlation(trial)
            better = score > best
            best, box = torch.where(better, score, best), torch.where(better[:, None], trial, box)
    left = _regraded(_sample(cut, box), whole) - whole
    return F.avg_pool2d(left.square().sum(1), 6, stride=2).amax((1, 2)).sqrt()


def _regraded(x, y, ridge=1e-3):
    """Each channel of x as a x + b x^2 + d grey(x) + c, with the a, b, c, d (ridge regression) that
    bring it nearest to y.

    This absorbs changes of brightness, contrast, gamma and saturation, but not of hue.
    """
    target = y.flatten(2)[..., None]  # (P, 3, pixels, 1); its mean has no effect: the terms' is 0
    x = x - x.mean((2, 3), keepdim=True)
    square = x.square() - x.square().mean((2, 3), keepdim=True)
    grey = x.mean(1, keepdim=True).expand_as(x)
    terms = torch.stack([x, square, grey], -1).flatten(2, 3)
    n, prior = terms.shape[2], x.new_tensor([[1.0], [0.0], [0.0]])  # shrinks towards x unchanged
    gram = terms.mT @ terms / n + ridge * torch.eye(3, dtype=x.dtype)
    curve = torch.linalg.solve(gram, terms.mT @ target / n + ridge * prior)
    # limits a: with a near 0 every picture would fit a blank one
    curve = torch.cat([curve[:, :, :1].clamp(0.5, 2), curve[:, :, 1:]], 2)
    return (terms @ curve)[..., 0].unflatten(2, y.shape[2:]) + y.mean((2, 3), keepdim=True)


def _sample(x, box):
    """The box (P, 3) of each picture (P, 3, H, W) as (P, 3, 32, 32)."""
    side, cx, cy = box.T
    zero = torch.zeros_like(side)
    affine = torch.stack([side, zero, cx, zero, side, cy], 1).view(-1, 2, 3)
    grid = F.affine_grid(affine, (len(x), 3, FINE, FINE), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _blur(x):
    """x (P, 3, H, W) after a 5 x 5 binomial filter; sub-pixel alignment needs smooth edges."""
    line = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (line[:, None] * line).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(x, (2,) * 4, mode="replicate"), kernel, groups=3)


def _unit(x):
    """Channels (P, 3, H, W) with mean 0 and a length just below 1: (P, 3, H W). The length of a
    channel with little contrast is near 0, so its noise does not correlate."""
    x = x.flatten(2) - x.mean((2, 3))[..., None]
    return x / (x.norm(dim=2, keepdim=True) + 0.005 * x.shape[2] ** 0.5)


def _coarse(x):
    """12 x 12 thumbnails: (P, 432); the product of two is the sum of their channels'
    correlations."""
    return _unit(F.adaptive_avg_pool2d(x, 12)).flatten(1)
