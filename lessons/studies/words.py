"""Which text side a small CLIP should have, and what language is worth (CLIP, sections 2.3, 3.1).

    python lessons/studies/words.py            about an hour and a half on two cores

Captions of icons are names of two or three words. The first part changes one thing at a time about
the text tower, the loss or the pairs of a batch. The second part compares CLIP with what needs no
language model: a softmax over names, a table with one vector per name, a softmax over words, a bag
of words, and the nearest training picture by its edges.

The picture tower, the pictures, the augmentation, the optimizer, the schedule and the number of
steps are always the same. The tests are the development families; nothing under seal is looked at.
harness.py has the options.
Left out: combinations of two changes, and learning rates for the picture tower.
"""

import random
import time
from collections import Counter, defaultdict

import numpy as np
import torch
from harness import run
from torch import nn
from torch.nn import functional as F

from miniclip.bpe import Tokenizer
from miniclip.common import replacing
from miniclip.data.icons.families import DEVELOPMENT
from miniclip.data.icons.icons import Icons
from miniclip.data.loader import batches, join
from miniclip.data.transforms import normalize
from miniclip.evaluation.families import QUESTIONS, mean, scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.loss import contrastive_loss
from miniclip.model.clip import CLIP, MODELS
from miniclip.model.text import at_end_token, is_word
from miniclip.training.pairs import some_captions
from miniclip.training.recipe import MAX_LOGIT_SCALE, parameter_groups, recipe, schedule
from miniclip.zeroshot import encode_texts

RESULTS, OPTIONS = "docs/icons/words", {}
MODEL, STEPS, BATCH, VOCABULARY, CONTEXT = "rn_icons", 1200, 512, 16_384, 24
# What an arm, which is one row of the tables, may change:
#
#     pooling    a text's feature is read at the "end" token, from a "bag", or is the "sum" of both
#     std        of the word vectors at the start
#     names      in a batch: "unique", "repeated", or "rare" (unique, and frequent names are drawn
#                less often)
#     loss       "clip"; "unicl", in which all pictures of a name are right for it; "predict" the
#                tokens of the caption; "both" (clip and predict); "none", for what is not trained
#     tokens     what has a vector: "pieces" of words, whole "names", or "exchanged", the pieces of
#                another name
#     rate       the learning rate of the text tower, as a multiple of the picture tower's
BASE = dict(pooling="end", std=0.02, names="unique", loss="clip", tokens="pieces", rate=1.0)
BAG = {"pooling": "bag"}
CHANGES = {
    "CLIP: the end token": {},
    "CLIP, three times the rate": {"rate": 3.0},
    "CLIP, a third of the rate": {"rate": 1 / 3},
    "CLIP, a name's pictures agree": {"loss": "unicl", "names": "repeated"},
    "a bag of words": BAG,
    "a bag, names exchanged": BAG | {"tokens": "exchanged"},
    "the end token, and a bag added": {"pooling": "sum"},
    "a bag, large at the start": BAG | {"std": 1.0},
    "a bag, names may repeat": BAG | {"names": "repeated"},
    "a bag, frequent names less often": BAG | {"names": "rare"},
    "a bag, and the picture predicts words": BAG | {"loss": "both"},
}
BASELINES = {
    "a table of names": BAG | {"tokens": "names"},
    "a softmax over words": {"loss": "predict"},
    "a softmax over names": {"loss": "predict", "tokens": "names"},
    "the nearest picture by HOG": {"loss": "none"},
}
ARMS = CHANGES | BASELINES
COMPARED = ["CLIP: the end token", "a bag of words", *BASELINES]
# the arms that cannot answer with a name that training lacks
CLOSED = "a bag, names exchanged", "a softmax over names"
SEEDS = 0, 1, 2


class TextSide(CLIP):
    """rn_icons with the text feature that how["pooling"] names. how: an arm's choices (see BASE)."""

    def __init__(self, how, vocab_size):
        super().__init__(**MODELS[MODEL], vocab_size=vocab_size)
        self.pooling, self.shared_space = how["pooling"], how["loss"] != "predict"
        nn.init.normal_(self.token_embedding.weight, std=how["std"])
        self.head = nn.Linear(self.config["embed_dim"], vocab_size)  # for "predict" and "both"

    def encode_image(self, images, normalize=False):
        """(N, 3, H, W) -> (N, E)."""
        return super().encode_image(images, normalize and self.shared_space)

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E)."""
        words = is_word(tokens).unsqueeze(2)
        vectors = self.token_embedding(tokens)
        x = 0
        if self.pooling != "bag":
            x = self.transformer(vectors + self.positional_embedding[: tokens.shape[1]])
            x = self.ln_final(at_end_token(x, tokens))
        if self.pooling in ("bag", "sum"):  # the sum of the vectors, as long as ln_final's output
            bag = (vectors * words).sum(1)
            x = x + bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-6) * bag.shape[1] ** 0.5
        x = x @ self.text_projection
        return F.normalize(x, dim=1) if normalize else x

    def predicted(self, image):
        """The log-probability of every token, (N, vocab_size), from encode_image's features."""
        return self.head(image).log_softmax(1)

    @torch.inference_mode()
    def name_scores(self, images, tokenizer, names, templates):
        """The mean log-probability of each name's tokens, from encode_image's features: (K, names).

        It is -inf if the softmax over names lacks the name.
        """
        known = getattr(tokenizer, "number", names)
        column = [k for k, name in enumerate(names) if name in known]
        found = torch.full((len(images), len(names)), -torch.inf)
        if not column:
            return found
        tokens = tokenizer([names[k] for k in column])
        target = is_word(tokens)
        for rows in torch.arange(len(images)).split(256):
            logs = self.predicted(images[rows])[:, tokens] * target  # (256, names, L)
            found[rows[:, None], column] = logs.sum(2) / target.sum(1)
        return found


def beginning(caption, names):
    """The longest beginning of a caption that is one of the names. A style behind it is cut off."""
    words = caption.split(" ")
    while words and " ".join(words) not in names:
        words.pop()
    return " ".join(words)


class Names:
    """A tokenizer whose tokens are whole names. It does not read a style behind a name."""

    def __init__(self, names):
        self.number = {name: k for k, name in enumerate(sorted(names))}
        self.vocab_size = len(self.number) + 2

    def __call__(self, captions, trim=True):
        start, end = self.vocab_size - 2, self.vocab_size - 1
        return torch.tensor(
            [[start, self.number[beginning(c, self.number)], end] for c in captions]
        )


class Exchanged:
    """A tokenizer that replaces each training name with another one, always the same one. So names
    that share a word no longer have anything else in common."""

    def __init__(self, tokenizer, names):
        names = sorted(names)
        self.other = dict(zip(names, random.Random(0).sample(names, len(names))))
        self.tokenizer, self.vocab_size = tokenizer, tokenizer.vocab_size

    def __call__(self, captions, **options):
        return self.tokenizer(
            [self.other.get(beginning(c, self.other), c) for c in captions], **options
        )


def plan(args):
    """{arm: its trainings}."""
    return {arm: trainings(arm, args) for arm in ARMS}


def trainings(arm, args):
    """The trainings of an arm: three if it is compared and trained, otherwise one."""
    trained = (BASE | ARMS[arm])["loss"] != "none"
    seeds = SEEDS if arm in COMPARED and trained else SEEDS[:1]
    return [{"arm": arm, "steps": args.quick or STEPS, "seed": seed} for seed in seeds]


def settings(given):
    """The settings by which runs.jsonl identifies a training."""
    used = ("lr", "weight_decay", "beta2", "eps", "warmup", "clip_grad")
    numbers = MODELS[MODEL] | {key: recipe(MODEL)[key] for key in used}
    return given | {"changes": BASE | ARMS[given["arm"]], "settings": numbers}


def word_loss(model, image, tokens):
    """Cross-entropy of a softmax over tokens, with the caption's tokens right and equally likely."""
    target = is_word(tokens)
    found = model.predicted(image).gather(1, tokens) * target
    return -(found.sum(1) / target.sum(1).clamp(min=1)).mean()


def unicl_loss(image, text, logit_scale, tokens):
    """CLIP's loss for batches in which texts repeat: all pictures of a text are right for it, and
    equally likely (UniCL, Yang et al. 2022). The whole matrix is in memory."""
    same = (tokens[:, None] == tokens).all(2)
    right = same / same.sum(1, keepdim=True)
    logits = logit_scale.exp() * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2


def drawn_rarely(pairs, seed):
    """Draw as many training pictures as there are, with replacement, and return the different ones.

    A picture whose name has n pictures is drawn with the weight 1 / sqrt(n), so there are fewer
    pictures of frequent names.
    """
    train = pairs.splits["train"]
    firsts = [pairs.names(i)[0] for i in train]
    counts = Counter(firsts)
    weights = [counts[name] ** -0.5 for name in firsts]
    return [*dict.fromkeys(random.Random(seed).choices(train, weights, k=len(train)))]


def make_tokenizer(pairs, kind, seed):
    """The tokenizer of an arm."""
    names = pairs.trained_names
    if kind == "names":
        return Names(names)
    tokenizer = Tokenizer.train(some_captions(pairs, seed), VOCABULARY, context_length=CONTEXT)
    return Exchanged(tokenizer, names) if kind == "exchanged" else tokenizer


def trained(given, folder, pairs):
    """(model, tokenizer, cost) of a training. Its weights are kept in the folder, and read the next
    time."""
    how, seed, began = BASE | ARMS[given["arm"]], given["seed"], time.monotonic()
    if how["loss"] == "none":
        return None, None, {"parameters": 0, "seconds": 0.0}
    tokenizer = make_tokenizer(pairs, how["tokens"], seed)
    torch.manual_seed(seed)
    model = TextSide(how, tokenizer.vocab_size)
    if not (file := folder / "weights.pt").exists():
        train(model, tokenizer, pairs, how, given["steps"], seed)
        parameters = sum(p.numel() for p in model.parameters() if p.grad is not None)
        cost = {"parameters": parameters, "seconds": time.monotonic() - began}
        with replacing(file) as new:
            torch.save({"weights": model.state_dict(), "cost": cost}, new)
    kept = torch.load(file)
    model.load_state_dict(kept["weights"])
    return model.eval(), tokenizer, kept["cost"]


def groups(model, rate, weight_decay):
    """AdamW's groups: first the weights of the picture tower, with the rate 1, then all others."""
    others = nn.ParameterList(
        p for name, p in model.named_parameters() if not name.startswith("visual.")
    )
    parts = (model.visual, 1.0), (others, rate)
    return [g | {"rate": own} for part, own in parts for g in parameter_groups(part, weight_decay)]


def train(model, tokenizer, pairs, how, steps, seed):
    """Train a model for so many steps."""
    own = recipe(MODEL)
    pairs.left_out = 0.0  # captions keep all their words
    model.train()
    loader = batches(
        pairs,
        drawn_rarely(pairs, seed) if how["names"] == "rare" else pairs.splits["train"],
        tokenizer,
        BATCH,
        seed,
        model.config["image_size"],
        None,  # no scale of crops: icons are redrawn
        unique_names=how["names"] != "repeated",
    )
    parts, betas = groups(model, how["rate"], own["weight_decay"]), (0.9, own["beta2"])
    optimizer = torch.optim.AdamW(parts, lr=own["lr"], betas=betas, eps=own["eps"])
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = own["lr"] * group["rate"] * schedule(step / (steps + 1), own["warmup"])
        images, tokens = join(next(loader).parts)
        optimizer.zero_grad()
        image = model.encode_image(normalize(images))
        if how["loss"] == "predict":
            loss = word_loss(model, image, tokens)
        elif how["loss"] == "unicl":
            loss = unicl_loss(image, model.encode_text(tokens), model.logit_scale, tokens)
        else:
            loss = contrastive_loss(image, model.encode_text(tokens), model.logit_scale)
        if how["loss"] == "both":  # SuperCLIP, Zhao et al. 2025
            loss = loss + word_loss(model, image, tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), own["clip_grad"])
        optimizer.step()
        model.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)
        if step % 50 == 0:
            print(f"step {step} of {steps} | loss {loss.item():.3f}", flush=True)


def grouped(pairs):
    """{key: its values} of (key, value) pairs."""
    found = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


@torch.inference_mode()
def table_scores(model, tokenizer, pairs):
    """The scores of a table of names: the cosines with its rows.

    A name without a row gets the sum of one vector per word: the mean of the rows of all names that
    have the word.
    """
    known = [*tokenizer.number]
    rows = encode_texts(model, tokenizer, known)
    sharing = grouped((word, k) for k, name in enumerate(known) for word in name.split())

    def row(name):
        if name in tokenizer.number:
            return rows[tokenizer.number[name]]
        means = [rows[sharing[word]].mean(0) for word in name.split() if word in sharing]
        return F.normalize(sum(means, torch.zeros(rows.shape[1])), dim=0)

    cache = FeatureCache(model, tokenizer)

    def scores(indices, names):
        return cache.images(pairs, indices)[0] @ torch.stack([row(n) for n in names]).T

    return scores


def hog(inks):
    """Histograms of oriented gradients (Dalal and Triggs 2005): (n, 32, 32) uint8 -> (n, 324) fp32.

    There are nine directions without a sign, cells of 8 x 8 pixels, and blocks of 2 x 2 cells, each
    of which is scaled to length 1.
    """
    down, right = np.gradient(inks.astype(np.float32), axis=(1, 2))
    direction = np.floor(np.arctan2(down, right) % np.pi / np.pi * 9).astype(int).clip(max=8)
    weight = np.hypot(down, right)
    cells = [(weight * (direction == k)).reshape(-1, 4, 8, 4, 8).sum((2, 4)) for k in range(9)]
    cells = torch.from_numpy(np.stack(cells, axis=-1))  # (n, 4, 4, 9)
    blocks = cells.unfold(1, 2, 1).unfold(2, 2, 1).flatten(3)  # (n, 3, 3, 36)
    return F.normalize(blocks, dim=3).flatten(1) / 3


def hog_scores(pairs):
    """The scores of the nearest training picture by HOG.

    The score of a name that training has is the cosine to the nearest picture with this name. For
    any other name, the cosine to the nearest picture whose name has the word is averaged over its
    words.
    """
    train = pairs.splits["train"]
    starts = range(0, len(train), 4096)
    known = torch.cat([hog(pairs.inks[train[k : k + 4096]]) for k in starts])
    of_name = grouped((name, row) for row, i in enumerate(train) for name in pairs.names(i))
    named = ((name, row) for name, rows in of_name.items() for row in rows)
    of_word = grouped((word, row) for name, row in named for word in name.split())

    def of_part(indices, names):
        cosines = known @ hog(pairs.inks[indices]).T  # (training pictures, K)
        words = {word for name in names for word in name.split()} & of_word.keys()
        nearest = {word: cosines[of_word[word]].amax(0) for word in words}

        def score(name):
            if name in of_name:
                return cosines[of_name[name]].amax(0)
            found = [nearest[word] for word in name.split() if word in nearest]
            return sum(found) / len(found) if found else torch.full((len(indices),), -torch.inf)

        return torch.stack([score(name) for name in names], dim=1)

    return lambda indices, names: torch.cat(
        [of_part(indices[k : k + 512], names) for k in range(0, len(indices), 512)]
    )


def scores_for(arm, model, tokenizer, pairs):
    """The function of an arm that families.zero_shot takes."""
    how = BASE | ARMS[arm]
    if how["loss"] == "none":
        return hog_scores(pairs)
    if how["tokens"] == "names" and how["loss"] != "predict":
        return table_scores(model, tokenizer, pairs)
    return scores_of(FeatureCache(model, tokenizer), pairs)


def work(given, folder):
    """Train one arm, and test it on the development families: its numbers."""
    pairs, arm = Icons(), given["arm"]
    model, tokenizer, cost = trained(given, folder, pairs)
    found = zero_shot(scores_for(arm, model, tokenizer, pairs), pairs, DEVELOPMENT)
    if arm in CLOSED:
        for answered in found.values():
            answered.pop("combinations", None)
    return {"families": found, **cost}


def table(report, arms, found, seeds):
    """A table of arms, the best on known names first, with means over the first `seeds` seeds.
    found: {arm: [(training, found)]}."""
    rows = []
    for arm in arms:
        runs = [own for _, own in found[arm]][:seeds]
        each = [
            *([mean(o["families"].values(), q, "macro") for o in runs] for q in QUESTIONS),
            *([o["families"]["tabler"].get(q, {}).get("top-1") for o in runs] for q in QUESTIONS),
        ]
        means = [None if None in values else sum(values) / len(runs) for values in each]
        spread = None if None in each[2] else f"{min(each[2]):.3f} to {max(each[2]):.3f}"
        cost = [sum(o[key] for o in runs) / len(runs) for key in ("parameters", "seconds")]
        rows.append(
            (arm, *means, *[spread] * (seeds > 1), f"{cost[0] / 1e6:.1f}", f"{cost[1]:.0f}")
        )
    head = [
        "arm",
        *QUESTIONS,
        *(f"Tabler, {question}" for question in QUESTIONS),
        *["combinations by seed"] * (seeds > 1),
        "parameters, millions",
        "seconds",
    ]
    report.table(head, sorted(rows, key=lambda row: row[1], reverse=True))


def write_report(found, args):
    """Write report.md: two tables. found: {arm: [(training, found)]}."""
    report = Report(args.results, "The text side of a small CLIP, and what language is worth")
    report.section("One change at a time", "sections 2.3 and 2.4")
    table(report, CHANGES, found, seeds=1)
    report.say(
        "One seed each. The first three numbers are accuracies in which every name counts the same, averaged "
        "over the development families. The next three are shares of Tabler's pictures. The seconds were "
        "taken by one thread on a machine that did other things as well."
    )
    report.section("Beside what needs no language model", "section 3.1")
    table(report, COMPARED, found, seeds=len(SEEDS))
    report.say(
        "Means of three seeds. HOG: each picture gets the name of the training picture whose histograms of "
        "oriented gradients are most similar; nothing is trained. For a name that training lacks, HOG "
        "takes the cosine to the nearest picture of each word, and averages these cosines. A table of "
        "names takes the mean of all rows that share a word, and adds up these means over the words. A "
        "softmax over names cannot answer."
    )
    report.write()


if __name__ == "__main__":
    run()
