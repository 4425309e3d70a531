"""Data overlap (CLIP, section 5): was the test in the training set, and did it matter?

Two questions. Which test pictures are near-duplicates of training pictures? The paper trained a
detector; ours is arithmetic: shortlist by correlation of thumbnails, align each candidate (one picture
may be a crop of the other), let its colours be re-graded, and look at the *worst* place of what is
left, because a beard is a small difference and another picture all the same. Then: is the model
better on the overlap? All - Clean says how much the score gains by it, with an exact interval and the
paper's one-sided binomial test.
Left out: mirrored and rotated copies, and crops that keep less than 85 % of the side.
"""

import re

import numpy as np
import torch
from torch.nn import functional as F

from miniclip.data.dataset import BadPicture
from miniclip.evaluation.confidence import binomial_tail, clopper_pearson

SIDE, FINE = 64, 32  # pixels of a thumbnail, and of an aligned comparison
# The largest local difference (RMS over RGB, of pixels in 0..1) of what counts as a near-duplicate.
# Of 100 planted duplicates 98 lie below it, of 1,000 strangers 4: means of eight seeds, five of them
# never used in the design (lowest and highest: 95 and 100, 0 and 8).
THRESHOLD = 0.1
SHORTLIST, ALIKE = 7, 0.65  # how many are aligned at most, and the least correlation of those
# boxes a shortlist tries: (share of the side, x, y of the centre in -1..1)
STEPS = (-0.1, -0.05, 0.0, 0.05, 0.1)
BOXES = [(1.0, 0.0, 0.0)] + [(0.9, x, y) for x in STEPS for y in STEPS]
GENDERED = re.compile(r"\b(wom[ae]n|m[ae]n|person|people|boy|girl|child)\b[ :,]*")


def base_emoji(name):
    """A name without skin tones and gender: "woman firefighter: dark skin tone" -> "firefighter".

    Unicode builds such variants from one base emoji; they are near-duplicates by nature.
    """
    name = re.sub(r"[:,] (light|medium-light|medium|medium-dark|dark) skin tone", "", name)
    return GENDERED.sub("", name).strip(" :,") or name


def thumbnails(source, indices):
    """source.image(i) for i in indices as (K, 3, 64, 64) fp32 in 0..1, and the K indices kept."""
    rows, kept = [], []
    for i in indices:
        try:
            picture = source.image(i)
        except BadPicture:
            continue
        rows.append(np.asarray(picture.convert("RGB").resize((SIDE, SIDE), 3)))  # 3: bicubic
        kept.append(i)
    pixels = np.stack(rows) if rows else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, kept


def near_duplicates(queries, known):
    """The most similar known picture of each query: (distance (Q,) fp32, position (Q,) int64).

    queries (Q, 3, 64, 64), known (K, 3, 64, 64) from `thumbnails`. A distance of THRESHOLD or less is
    a near-duplicate. Costs Q x K x 22 k multiplications for the shortlist, 7 alignments a query.
    """
    if not len(queries) or not len(known):
        return torch.full((len(queries),), torch.inf), torch.zeros(len(queries), dtype=torch.long)
    distance, position = [], []
    for some in queries.split(256):
        near, box, cropped_query, alike = _shortlist(some, known)
        q, place = (alike >= ALIKE).nonzero().T
        left = torch.full(near.shape, torch.inf)
        if not len(q):
            distance.append(left.amin(1))
            position.append(near[:, 0])
            continue
        swap = cropped_query[q, place][:, None, None, None]
        a, b = _blur(some)[q], _blur(known[near[q, place]])
        whole, cut = torch.where(swap, b, a), torch.where(swap, a, b)
        left[q, place] = _difference(cut, _sample(whole, _whole(len(q))), box[q, place])
        best, which = left.min(1)
        distance.append(best)
        position.append(near.gather(1, which[:, None])[:, 0])
    return torch.cat(distance), torch.cat(position)


def _shortlist(queries, known):
    """For each query, SHORTLIST known pictures: (positions (Q, S), boxes (Q, S, 3), (Q, S) whether
    the query is the one to crop, (Q, S) correlation), by correlation of 12 x 12 thumbnails over the BOXES."""
    best = torch.full((len(queries), len(known)), -2.0)
    how = torch.zeros_like(best, dtype=torch.long)
    coarse = [_coarse(queries), _coarse(known)]
    for k, box in enumerate(BOXES):
        box = torch.tensor([box])
        pairs = [(coarse[0], _coarse(_sample(known, box.expand(len(known), 3))))]
        if k:
            pairs.append((_coarse(_sample(queries, box.expand(len(queries), 3))), coarse[1]))
        for other, (a, b) in enumerate(pairs):
            similarity = a @ b.T
            how[similarity > best] = k + other * len(BOXES)
            best = torch.maximum(best, similarity)
    best, near = best.topk(min(SHORTLIST, len(known)), 1)
    how = how.gather(1, near)
    return near, torch.tensor(BOXES)[how % len(BOXES)], how >= len(BOXES), best / 3


def _difference(cut, whole, box):
    """Crop `cut` (P, 3, 64, 64) so that it fits `whole` (P, 3, 32, 32) best, starting from box (P, 3);
    re-grade its colours, and return the largest local difference that is left: (P,)."""
    target = _unit(whole)

    def fit(box):
        return (_unit(_sample(cut, box)) * target).sum((1, 2))

    best, sides = fit(box), torch.tensor([-1.0, 0.0, 1.0])
    for step in (0.03, 0.015, 0.008):  # 3 x 3 x 3 neighbours (side, x, y), then nearer ones
        start = box
        for move in torch.cartesian_prod(sides, sides, sides) * step:
            trial = start + move
            side = trial[:, :1].clamp(0.85, 1)
            centre = trial[:, 1:].clamp(-1, 1).maximum(side - 1).minimum(1 - side)
            trial = torch.cat([side, centre], 1)
            score = fit(trial)
            better = score > best
            best, box = torch.where(better, score, best), torch.where(better[:, None], trial, box)
    left = _regraded(_sample(cut, box), whole) - whole
    return F.avg_pool2d(left.square().sum(1), 6, stride=2).amax((1, 2)).sqrt()


def _regraded(x, y, ridge=1e-3):
    """Each channel of x as a x + b x^2 + d grey(x) + c, with the numbers that bring it nearest to y.

    That and no more: brightness, contrast, gamma and saturation are forgiven, a blue that became green
    is not.
    """
    mean = x.mean((2, 3), keepdim=True)
    target = (y - y.mean((2, 3), keepdim=True)).flatten(2)[..., None]  # (P, 3, pixels, 1)
    x = x - mean
    square = x.square() - x.square().mean((2, 3), keepdim=True)
    grey = x.mean(1, keepdim=True).expand_as(x)
    terms = torch.stack([x, square, grey], -1).flatten(2, 3)
    n, prior = terms.shape[2], torch.tensor([[1.0], [0.0], [0.0]])  # towards leaving x as it is
    gram = terms.mT @ terms / n + ridge * torch.eye(3)
    curve = torch.linalg.solve(gram, terms.mT @ target / n + ridge * prior)
    # a picture must not become like a blank one by losing its contrast
    curve = torch.cat([curve[:, :, :1].clamp(0.5, 2), curve[:, :, 1:]], 2)
    return (terms @ curve)[..., 0].unflatten(2, y.shape[2:]) + y.mean((2, 3), keepdim=True)


def _whole(n):
    return torch.tensor([[1.0, 0.0, 0.0]]).expand(n, 3)


def _sample(x, box):
    """The box (P, 3) of each picture (P, 3, H, W) as (P, 3, 32, 32)."""
    side, cx, cy = box.T
    zero = torch.zeros_like(side)
    affine = torch.stack([side, zero, cx, zero, side, cy], 1).view(-1, 2, 3)
    grid = F.affine_grid(affine, (len(x), 3, FINE, FINE), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _blur(x):
    """x (P, 3, H, W) under a 5 x 5 binomial filter: sub-pixel alignment needs smooth edges."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (line[:, None] * line).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(x, (2,) * 4, mode="replicate"), kernel, groups=3)


def _unit(x):
    """Channels (P, 3, H, W) with mean 0 and length 1, nearly: (P, 3, H W); a flat one stays near 0."""
    x = x.flatten(2) - x.mean((2, 3))[..., None]
    return x / (x.norm(dim=2, keepdim=True) + 0.005 * x.shape[2] ** 0.5)


def _coarse(x):
    return _unit(F.adaptive_avg_pool2d(x, 12)).flatten(1)


def all_minus_clean(right, overlapping, confidence=0.95):
    """Section 5's table row, from which answers were right and which pictures overlap: (n,) bools.

    'all_minus_clean' is what the overlap adds to the score: its share times the difference of the two
    accuracies. Its interval puts two Clopper-Pearson intervals, each of half the error, at their
    worst against each other, so it covers the truth at least as often as it says. 'p_value': how
    likely the overlap's score would be, or a better one, at the accuracy of the clean part
    (one-sided). Without an overlap, or without a clean part, those are None.
    """
    right, overlapping = np.asarray(right, bool), np.asarray(overlapping, bool)
    if len(right) != len(overlapping) or not len(right):
        raise ValueError(f"{len(right)} answers do not go with {len(overlapping)} pictures")
    n, dirty = len(right), int(overlapping.sum())
    hits, dirty_hits = int(right.sum()), int(right[overlapping].sum())
    row = {"n": n, "n_overlap": dirty, "share": dirty / n, "all": hits / n,
           "all_interval": clopper_pearson(hits, n, confidence),
           "overlap": None, "clean": None, "all_minus_clean": None, "interval": None,
           "p_value": None}  # fmt: skip
    each = (1 + confidence) / 2
    if dirty:
        row["overlap"] = dirty_hits / dirty
        row["overlap_interval"] = clopper_pearson(dirty_hits, dirty, confidence)
    if dirty < n:
        row["clean"] = (hits - dirty_hits) / (n - dirty)
    if 0 < dirty < n:
        a = clopper_pearson(dirty_hits, dirty, each)
        b = clopper_pearson(hits - dirty_hits, n - dirty, each)
        row["all_minus_clean"] = dirty / n * (row["overlap"] - row["clean"])
        row["interval"] = (dirty / n * (a[0] - b[1]), dirty / n * (a[1] - b[0]))
        row["p_value"] = binomial_tail(dirty_hits, dirty, row["clean"])
    return row
