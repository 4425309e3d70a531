"""Zero-shot classification of a site that was never seen (CLIP, sections 3.1 and 5).

The classes are the names that the site shares with training pictures; each is written into three
templates, whose features are averaged. A picture with several names is right by any of them. Beside
it: the nearest training picture, which needs labels, in features or in raw pixels. With k labels a
class it says how many labels the names are worth (figures 6 and 7); by its similarity the test
pictures are sorted into copies and new drawings (section 5).
Lesson: lessons/14_probes.md.
"""

import functools

import numpy as np
import torch
from torch.nn import functional as F

from miniclip.evaluation.confidence import resamples, wilson
from miniclip.evaluation.features import FeatureCache, pixels
from miniclip.evaluation.linear_probe import few_shot, few_shot_probes, full_probe, shots_worth

TEMPLATES = ("{}", "{} filled", "{} outline")
SHOTS = (1, 2, 4, 8)
# pixels of a side. tried on the validation sites: the neighbour with all labels is right on .475
# of 745 pictures; with 24 or 32 pixels, or plain distances, on .460 to .473; with the mean of each
# picture removed, on .480
SIDE = 16
EDGES = (0.95, 0.90, 0.80)  # of the cosine of raw pixels to the nearest training picture


def labelled(pairs, split, names):
    """Pictures of a split with a name among `names`: (indices, right (K, classes) bool)."""
    return with_names(pairs, pairs.splits[split], names)


def with_names(pairs, indices, names):
    """Those of some pictures that have a name among `names`: (indices, right (K, classes) bool)."""
    column = {name: k for k, name in enumerate(names)}
    found = [(i, [column[n] for n in pairs.names(i) if n in column]) for i in indices]
    found = [(i, own) for i, own in found if own]
    right = torch.zeros(len(found), len(names), dtype=torch.bool)
    for row, (_, own) in enumerate(found):
        right[row, own] = True
    return [i for i, _ in found], right


def correct(scores, right, k=1):
    """Whether one of the k classes with the highest scores is right: (K,) bool; of all, if fewer."""
    return right.gather(1, scores.topk(min(k, scores.shape[1]), dim=1).indices).any(1)


def ink(source, indices):
    """Raw pixels as unit vectors, black 1 and white 0: ((K, SIDE SIDE) fp32, K indices kept)."""
    images, kept = pixels(source, indices, SIDE)
    return F.normalize(1 - images.mean(3).flatten(1), dim=1), kept


class UnseenSite:
    """The test of a model on the site that its pairs hold out, each part computed once.

    Fields: names, the classes; tests, K indices, and right (K, classes) bool; known, M indices of
    the training pictures with such a name, and own (M, classes) bool.
    """

    def __init__(self, features, pairs, templates=TEMPLATES):
        self.features, self.pairs, self.templates = features, pairs, templates
        self.names = pairs.shared_names
        self.tests, self.right = labelled(pairs, "heldout_site", self.names)
        self.known, self.own = labelled(pairs, "train", self.names)

    def scores(self, indices, names, templates=None):
        """How well each name fits each picture, FeatureCache.scores: (K, classes) fp32."""
        images, _ = self.features.images(self.pairs, indices)
        return self.features.scores(images, names, templates or self.templates)

    @functools.cached_property
    def zero_shot(self):
        """Cosines of the test pictures with the classes: (K, classes) fp32."""
        return self.scores(self.tests, self.names)

    def similarity(self, encode, known=None):
        """Cosine of each test picture with each known one: (K, M) fp32.

        encode: a function (source, indices) to unit vectors, such as `ink`; known: other indices.
        """
        known = self.known if known is None else known
        return encode(self.pairs, self.tests)[0] @ encode(self.pairs, known)[0].T


def zero_shot(model, tokenizer, pairs, templates=TEMPLATES):
    """Zero-shot top-1 and top-5 on pairs' split heldout_site, with 95 % intervals: a dict."""
    site = UnseenSite(FeatureCache(model, tokenizer), pairs, templates)
    hits = {f"top-{k}": correct(site.zero_shot, site.right, k) for k in (1, 5)}
    found = {name: h.float().mean().item() for name, h in hits.items()}
    found["intervals"] = {name: wilson(int(h.sum()), len(h)) for name, h in hits.items()}
    return found | {"n": len(site.tests), "classes": len(site.names)}


def sentence(pairs, found):
    """What zero_shot found, as one line."""
    return (
        f"zero-shot on {', '.join(pairs.held_out_sites)}, never seen: top-1 {found['top-1']:.3f}, "
        f"top-5 {found['top-5']:.3f} of {found['n']:,} pictures in {found['classes']} classes "
        f"(chance {1 / found['classes']:.4f})"
    )


def unknown_names(pairs):
    """The names of the held-out site that no training picture has, sorted: {'new combinations of
    known words': names, 'with a word never seen': names}."""
    trained = {name for i in pairs.splits["train"] for name in pairs.names(i)}
    words = {word for i in pairs.splits["train"] for c in pairs.captions(i) for word in c.split()}
    held = {name for i in pairs.splits["heldout_site"] for name in pairs.names(i)} - trained
    known = {name for name in held if words.issuperset(name.split())}
    return {
        "new combinations of known words": sorted(known),
        "with a word never seen": sorted(held - known),
    }


# Shots (3.1.5)


def with_shots(own, right, k):
    """The classes with k training pictures at least, and the test pictures that have one of them as
    their name: (columns, rows) int64. own (M, classes), right (K, classes) bool."""
    columns = (own.sum(0) >= k).nonzero()[:, 0]
    return columns, right[:, columns].any(1).nonzero()[:, 0]


def neighbour_right(similarity, own, right):
    """Whether the most similar known picture has a name of the test picture: (K,) bool.

    similarity (K, M), own (M, classes), right (K, classes).
    """
    return (own[similarity.argmax(1)] & right).any(1)


def drawn_neighbours(similarity, own, right, k, seeds):
    """neighbour_right among k training pictures of each class, drawn for each seed: (seeds, K)
    bool. own: (M, classes) with k pictures a class at least."""
    picture, label = own.nonzero().T  # one row for each picture and name
    hits = []
    for seed in range(seeds):
        drawn = picture[few_shot(label, range(len(label)), k, seed)].unique()
        hits.append(neighbour_right(similarity[:, drawn], own[drawn], right))
    return torch.stack(hits)


def curve(site, learn, seeds, least=1):
    """A learner by the number of labelled pictures a class, with zero-shot over the same classes.

    learn: a function (columns, rows, k, seeds) -> hits (seeds, rows) bool; least: the labelled
    pictures of a class that takes part, at k at least k. Yields (k, columns, rows, hits, hits of
    zero-shot (rows,) bool), for k of SHOTS and "all". Numbers that fewer than two classes have are
    left out.
    """
    for k in (*SHOTS, "all"):
        columns, rows = with_shots(site.own, site.right, least if k == "all" else max(least, k))
        if len(columns) > 1:
            hits = learn(columns, rows, k, seeds)
            ours = correct(site.zero_shot[rows][:, columns], site.right[rows][:, columns])
            yield k, columns, rows, hits, ours


def neighbours(site, encode):
    """The nearest neighbour as a learner for `curve`, on the vectors of `encode`."""
    similarity = site.similarity(encode)

    def learn(columns, rows, k, seeds):
        own, right = site.own[:, columns], site.right[rows][:, columns]
        some = own.any(1).nonzero()[:, 0]
        closeness, own = similarity[rows][:, some], own[some]
        if k == "all":
            return neighbour_right(closeness, own, right)[None]
        return drawn_neighbours(closeness, own, right, k, seeds)

    return learn


def probes(site, encode):
    """The linear probe as a learner for `curve`, on the vectors of `encode`, centred and scaled.

    Random weights give all pictures nearly the same features (mean cosine .999): as they are, no
    strength of the search lets L-BFGS leave its start; of ours the accuracy is the same either way.
    """
    picture, label = site.own.nonzero().T  # one row for each picture and name
    known, tests = (encode(site.pairs, some)[0] for some in (site.known, site.tests))
    centre = known.mean(0)
    scale = (known - centre).norm(dim=1).mean()
    known, tests = (known[picture] - centre) / scale, (tests - centre) / scale

    def learn(columns, rows, k, seeds):
        some = torch.isin(label, columns)
        x, y = known[some], label[some]
        fitted = [full_probe(x, y)[0]] if k == "all" else few_shot_probes(x, y, k, seeds)
        answers = [torch.as_tensor(probe.predict(tests[rows].numpy())) for probe in fitted]
        return site.right[rows].gather(1, torch.stack(answers, 1)).T

    return learn


def worth(points, n, draws=1000):
    """How many shots zero-shot is worth, with a 95 % interval: {'value', 'low', 'high'}, where None
    is more than were tried, and the smallest number of shots is that or fewer.

    points: what `curve` yielded; n: the number of test pictures. At each k both are compared over
    the same classes. The interval is a bootstrap over test pictures and over seeds.
    """
    gains, counts = {}, {}  # a picture of no class that has k labels does not count at k
    for k, _, rows, hits, ours in points:
        if k != "all":
            gains[k], counts[k] = np.zeros((len(hits), n)), np.zeros(n)
            rows = rows.numpy()  # NumPy takes a tensor of one row as a number
            gains[k][:, rows], counts[k][rows] = hits.numpy().astype(float) - ours.numpy(), 1
    seeds, found = len(next(iter(gains.values()))), []
    for some, pictures in [(np.arange(seeds), np.arange(n)), *resamples(seeds, n, draws)]:
        mean = {
            k: gain[np.ix_(some, pictures)].mean(0).sum() / max(1, counts[k][pictures].sum())
            for k, gain in gains.items()
        }
        shots = shots_worth(mean, 0.0)
        found.append(np.inf if shots is None else shots)
    low, high = np.quantile(found[1:], (0.025, 0.975), method="inverted_cdf")
    ends = {"value": found[0], "low": low, "high": high}
    return {name: None if np.isinf(end) else float(end) for name, end in ends.items()}


# Overlap (5)


def bins(closeness):
    """Test pictures by their cosine to the nearest training picture: {name: (K,) bool}."""
    above = [closeness >= edge for edge in EDGES]
    first, *_, last = EDGES
    found = {f"{first:.2f} and more": above[0]}
    for (a, b), (inner, outer) in zip(zip(EDGES, EDGES[1:]), zip(above, above[1:])):
        found[f"{b:.2f} to {a:.2f}"] = outer & ~inner
    return found | {f"below {last:.2f}": ~above[-1]}


# Prompts (3.1.4)


def style_choices(site, splits=("heldout_site", "heldout_names")):
    """Does "home outline" pick the outlined one of a site's drawings of "home"?

    Asked where one site draws one name in several styles, on pictures that were not trained on; the
    name and the style are the prompt, that site's drawings of that name the choice. Returns {style:
    (rights, chances)}, lists; the style "" is the bare name.
    """
    pairs, drawings, found = site.pairs, {}, {}
    for i in sorted({i for split in splits for i in pairs.splits[split]}):
        for own, name, style in pairs.owned[i]:
            drawings.setdefault((own, name), {}).setdefault(style, i)
    groups = [(name, own) for (_, name), own in drawings.items() if len({*own.values()}) > 1]
    prompts = {f"{name} {style}".strip(): None for name, own in groups for style in own}
    texts = site.features.classifier(list(prompts), ("{}",)).T
    vector = dict(zip(prompts, texts))  # all at once: one by one they take a hundred times as long
    for name, by_style in groups:
        choice = sorted({*by_style.values()})
        images, _ = site.features.images(pairs, choice)
        for style, i in by_style.items():
            chosen = (images @ vector[f"{name} {style}".strip()]).argmax()
            rights, chances = found.setdefault(style, ([], []))
            rights.append(choice[chosen] == i)
            chances.append(1 / len(choice))
    return found
