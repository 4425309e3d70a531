"""What the text side of a small CLIP should be: one change at a time (CLIP, sections 2.3 and 2.4).

    python lessons/studies/text_side.py        about 100 minutes on two cores

Captions of the web of icons are names of two or three words, and CLIP's own text tower, a Transformer
read at its end token, learns them slowly. Each training here changes one thing about the text tower, the
loss or the pairs of a batch. Picture tower, pictures, augmentation, optimizer, schedule and number of
steps are the same. The tests are the development families; nothing under seal is looked at.
harness.py has the options. Left out: combinations of two changes, and learning rates for the picture tower.
"""

import sys
import time
from collections import Counter
from types import SimpleNamespace

import torch
from harness import run
from torch import nn
from torch.nn import functional as F

from miniclip.bpe import Tokenizer
from miniclip.data.loader import batches, join
from miniclip.data.transforms import normalize
from miniclip.data.web.families import DEVELOPMENT
from miniclip.data.web.web import Web
from miniclip.evaluation.families import QUESTIONS, scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.model.clip import CLIP, MODELS
from miniclip.model.text import at_end_token, is_word
from miniclip.training.pairs import some_captions
from miniclip.training.recipe import MAX_LOGIT_SCALE, parameter_groups, recipe, schedule

RESULTS, OPTIONS = "docs/web/text_side", {}
MODEL, STEPS, BATCH, VOCABULARY = "rn_icons", 1200, 512, 16_384
# what an arm changes. pooling: how the feature of a text is read. std: of the word vectors at the start,
# .02 in CLIP. text_lr: a factor for the text tower's learning rate. names: whether a name may be twice
# in a batch. styles: whether half of the captions end with the style, as "home outline" does
BASE = {
    "pooling": "end",
    "std": 0.02,
    "text_lr": 1.0,
    "names": "unique",
    "loss": "clip",
    "styles": True,
}
BAG = {"pooling": "bag"}
ARMS = {
    "CLIP: the end token": {},
    "a bag of words": BAG,
    "the end token, and a bag added": {"pooling": "sum"},
    "a bag, names may repeat": BAG | {"names": "repeated"},
    "a bag, text rate times 3": BAG | {"text_lr": 3.0},
    "a bag, captions without style": BAG | {"styles": False},
    "the mean over words": {"pooling": "mean"},
    "a bag, same names are positives": BAG | {"names": "repeated", "loss": "positives"},
    "a bag, frequent names weigh less": BAG | {"loss": "weighted"},
    "a bag, and a word head beside": BAG | {"loss": "words"},
    "a bag, text rate divided by 3": BAG | {"text_lr": 1 / 3},
    "a bag of words, large at the start": BAG | {"std": 1.0},
    "CLIP, text rate times 3": {"text_lr": 3.0},
    "CLIP, text rate divided by 3": {"text_lr": 1 / 3},
}


class TextSide(CLIP):
    """rn_icons whose text feature is read as `pooling` says: end, mean, bag or sum."""

    def __init__(self, pooling, std, vocab_size):
        super().__init__(**MODELS[MODEL], vocab_size=vocab_size)
        self.pooling = pooling
        nn.init.normal_(self.token_embedding.weight, std=std)
        self.head = nn.Linear(
            self.config["embed_dim"], vocab_size
        )  # only trained by the loss "words"

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E)."""
        words = is_word(tokens).unsqueeze(2)
        vectors = self.token_embedding(tokens)
        x = 0
        if self.pooling != "bag":
            x = self.transformer(vectors + self.positional_embedding[: tokens.shape[1]])
            if self.pooling == "mean":
                x = (self.ln_final(x) * words).sum(1) / words.sum(1).clamp(min=1)
            else:
                x = self.ln_final(at_end_token(x, tokens))
        if self.pooling in ("bag", "sum"):  # the sum of the vectors, as long as ln_final's output
            bag = (vectors * words).sum(1)
            x = x + bag / bag.norm(dim=1, keepdim=True).clamp(min=1e-6) * bag.shape[1] ** 0.5
        x = x @ self.text_projection
        return F.normalize(x, dim=1) if normalize else x


def plan(args):
    """{arm: its trainings}. Arms are screened with one seed; FINALISTS get two more."""
    steps = args.quick or STEPS
    return {
        arm: [{"arm": arm, "steps": steps, "seed": seed} for seed in seeds_of(arm)] for arm in ARMS
    }


FINALISTS = ()


def seeds_of(arm):
    """The seeds of an arm."""
    return (0, 1, 2) if arm in FINALISTS else (0,)


def settings(given):
    """What a training is known by in runs.jsonl."""
    return given | {"changes": BASE | ARMS[given["arm"]], "settings": MODELS[MODEL] | recipe(MODEL)}


def loss_of(model, image, text, tokens, labels, weights, kind):
    """The loss of a batch, 0-d. labels: (N,) int64, the same for the same name; weights: (N,)."""
    image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)
    logits = model.logit_scale.exp() * image @ text.T
    if kind == "positives":  # UniCL (Yang et al. 2022): all texts of the same name are right
        target = (labels[:, None] == labels).float()
        target = target / target.sum(1, keepdim=True)
    else:
        target = torch.arange(len(logits))
    rows = F.cross_entropy(logits, target, reduction="none")
    columns = F.cross_entropy(logits.T, target, reduction="none")
    weights = weights / weights.sum()
    return ((rows + columns) / 2 * weights).sum()


def word_loss(model, image, tokens):
    """Cross-entropy of a softmax over words with the caption's words, each as likely (SuperClass)."""
    target = is_word(tokens)
    found = model.head(image).log_softmax(1).gather(1, tokens) * target
    return -(found.sum(1) / target.sum(1).clamp(min=1)).mean()


def train(pairs, how, steps, seed):
    """(model, tokenizer) after `steps` steps."""
    own = SimpleNamespace(**recipe(MODEL))
    torch.manual_seed(seed)
    tokenizer = Tokenizer.train(some_captions(pairs, seed), VOCABULARY, context_length=24)
    model = TextSide(how["pooling"], how["std"], tokenizer.vocab_size).train()
    pictures = {id(p) for p in (*model.visual.parameters(), *model.head.parameters())}
    groups = []
    for group in parameter_groups(model, own.weight_decay):
        texts = [p for p in group["params"] if id(p) not in pictures]
        rest = [p for p in group["params"] if id(p) in pictures]
        groups += [
            group | {"params": rest, "rate": 1.0},
            group | {"params": texts, "rate": how["text_lr"]},
        ]
    optimizer = torch.optim.AdamW(groups, lr=own.lr, betas=(0.9, own.beta2), eps=own.eps)
    if not how["styles"]:
        pairs.owned = [[(site, name, "") for site, name, _ in own] for own in pairs.owned]
    train_split, size = pairs.splits["train"], model.config["image_size"]
    counts = Counter(name for i in train_split for name in pairs.names(i))
    number = {name: k for k, name in enumerate(counts)}

    def tokens_and_name(captions, trim):
        """The tokens, and before them the number of the name and its frequency."""
        tokens = tokenizer(captions, trim=trim)
        names = [name_of(caption) for caption in captions]
        about = torch.tensor([[number[name], counts[name]] for name in names])
        return torch.cat([about, tokens], 1)

    def name_of(caption):
        """The caption without its style: the longest beginning that is a name."""
        words = caption.split(" ")
        while " ".join(words) not in number:
            words.pop()
        return " ".join(words)

    loader = batches(
        pairs,
        train_split,
        tokens_and_name,
        BATCH,
        seed,
        size,
        None,  # redrawn
        unique_names=how["names"] == "unique",
    )
    began = time.monotonic()
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = own.lr * group["rate"] * schedule(step / (steps + 1), own.warmup)
        images, tokens = join(next(loader).parts)
        (labels, count), tokens = tokens[:, :2].T, tokens[:, 2:]
        weights = count**-0.5 if how["loss"] == "weighted" else torch.ones(len(tokens))
        image, text, _ = model(normalize(images), tokens, normalize=False)
        loss = loss_of(model, image, text, tokens, labels, weights, how["loss"])
        if how["loss"] == "words":
            loss = loss + word_loss(model, image, tokens)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), own.clip_grad)
        optimizer.step()
        model.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)
        if step % 50 == 0:
            took = time.monotonic() - began
            print(
                f"step {step} | loss {loss.item():.3f} | ETA {took / step * (steps - step):.0f} s"
            )
    return model.eval(), tokenizer


def work(given, folder):
    """Train one arm, and test it on the development families: its numbers."""
    pairs, how, began = Web(), BASE | ARMS[given["arm"]], time.monotonic()
    model, tokenizer = train(pairs, how, given["steps"], given["seed"])
    seconds = time.monotonic() - began
    found = zero_shot(scores_of(FeatureCache(model, tokenizer), pairs), pairs, DEVELOPMENT)
    parameters = sum(p.numel() for p in model.parameters())
    return {"families": found, "parameters": parameters, "seconds": seconds}


def mean(found, question, number="macro"):
    """The mean over families of a number of zero_shot."""
    own = [family[question][number] for family in found["families"].values() if question in family]
    return sum(own) / len(own)


def write_report(found, args):
    """Write report.md: a table. found: {arm: [(training, found)]}."""
    report = Report(args.results, "The text side of a small CLIP")
    report.section("One change at a time", "sections 2.3 and 2.4")
    report.table(
        ("change", "seeds", *QUESTIONS, "Tabler, known", "Tabler, combinations", "seconds"),
        [
            (
                arm,
                len(runs),
                *(f"{average(runs, lambda own: mean(own, q)):.3f}" for q in QUESTIONS),
                *(
                    f"{average(runs, lambda own: own['families']['tabler'][q]['top-1']):.3f}"
                    for q in ("known", "combinations")
                ),
                f"{average(runs, lambda own: own['seconds']):.0f}",
            )
            for arm, runs in found.items()
        ],
    )
    report.say(
        "The first three numbers are means over the development families of accuracies in which every "
        "name counts the same; those of Tabler are shares of pictures."
    )
    report.write()


def average(runs, number):
    """The mean over trainings of number(found)."""
    return sum(number(own) for _, own in runs) / len(runs)


if __name__ == "__main__":
    sys.exit(run(sys.modules["__main__"]))
