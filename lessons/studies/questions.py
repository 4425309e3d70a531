"""What the released model of icons does with other words, and with more of them (CLIP, section 3.1).

    python lessons/studies/questions.py         no training; a few minutes on two cores

Four questions are asked about the development families, which no model was trained on:

- Candidates: how far does the accuracy on known names fall if there are 30,000 names to choose from
  instead of 100?
- Synonyms: is "dustbin" as good as "trash"? The synonyms were written by hand, into synonyms.txt.
- Styles: what does the word "filled" do in a prompt?
- One word: how often would a guess be right that knows only one word of a new combination?

harness.py has the options.
"""

import re
from pathlib import Path

import torch
from harness import run
from scipy.stats import hypergeom

from miniclip import plots
from miniclip.data.icons.families import DEVELOPMENT
from miniclip.data.icons.icons import Icons
from miniclip.evaluation.families import asked, correct, of_family, scores_of, with_names
from miniclip.evaluation.features import FeatureCache
from miniclip.evaluation.report.writer import Report
from miniclip.weights import load

RESULTS, OPTIONS = "docs/icons/questions", {}
CANDIDATES = 100, 300, 1_000, 3_000, 10_000, 30_000
STYLES = {"filled": {"filled", "fill", "solid"}, "outline": {"outline", "outlined", "line"}}
PROMPTS = "{}", "{} filled", "{} outline", "{} rounded"
PART = 512  # pictures at a time, because their scores with all names of training are in memory


def plan(args):
    """{model: its only "training", which asks the questions}. --quick limits the number of pictures."""
    return {"web": [{"model": "web", "pictures": args.quick, "steps": 0}]}


settings = dict  # runs.jsonl identifies a training by its options


def synonyms():
    """[(name, another word for it, all its words)] of synonyms.txt."""
    lines = Path(__file__).with_name("synonyms.txt").read_text().splitlines()
    listed = [re.split(": |, ", line) for line in lines]
    return [(words[0], other, words) for words in listed for other in words[1:]]


def by_candidates(scores, pairs, indices):
    """{number of candidates: top-1} of pictures with a known name.

    A picture's candidates are its own names and wrong names that are drawn from all names of
    training. top-1 is the mean over all possible draws.
    """
    names, better = sorted(pairs.trained_names), []
    for start in range(0, len(indices), PART):
        part, right = with_names(pairs, indices[start : start + PART], names)
        found = scores(part, names)
        best = found.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
        better.append((found > best).sum(1))
    better, wrong = torch.cat(better).numpy(), len(names) - 1
    # the probability that n - 1 drawn wrong names hold none that the picture fits better than its
    # own
    return {n: float(hypergeom.pmf(0, wrong, better, n - 1).mean()) for n in CANDIDATES}


def by_synonyms(scores, known, listed):
    """{"name": share, "synonym": share, "pairs": the number of pairs of a name and a synonym}.

    The shares say how often a picture fits its name, or the synonym in place of the name, better
    than all other names of its family. A picture's other names and the name's other synonyms are no
    candidates. Each pair counts the same. known: [(names, indices, right)]; listed: see `synonyms`.
    """
    shares = []
    for name, other, words in listed:
        hits = []
        for names, indices, right in (own for own in known if name in own[0]):
            mine = right[:, names.index(name)].nonzero()[:, 0].tolist()
            kept = [k for k, n in enumerate(names) if n not in words]
            found = scores([indices[row] for row in mine], [name, other, *(names[k] for k in kept)])
            rest = found[:, 2:].masked_fill(right[mine][:, kept], -torch.inf)
            hits.append(found[:, :2] > rest.amax(1, keepdim=True))
        if hits:
            shares.append(torch.cat(hits).float().mean(0))
    name, synonym = torch.stack(shares).mean(0).tolist()
    return {"name": name, "synonym": synonym, "pairs": len(shares)}


def by_styles(features, pairs, known):
    """{style: {prompt: top-1}} of the pictures that a set declares to be of a style, among the
    known names of their family. "tells" says how often a picture fits its name with this style
    better than its name with the other style."""
    found = {}
    for style, words in STYLES.items():
        hits, tells = {prompt: [] for prompt in PROMPTS}, []
        other = next(prompt for prompt in STYLES if prompt != style)
        for names, indices, right in known:
            styles = [[{*style.split()} for _, _, style in pairs.owned[i]] for i in indices]
            # the pictures for which every set that has them declares this style
            rows = [k for k, of_sets in enumerate(styles) if all(words & own for own in of_sets)]
            own = [indices[k] for k in rows]
            if own:
                each = {p: scores_of(features, pairs, (p,))(own, names) for p in PROMPTS}
                for prompt, scores in each.items():
                    hits[prompt] += correct(scores, right[rows]).tolist()
                gain = each[f"{{}} {style}"] - each[f"{{}} {other}"]
                tells += (gain[right[rows]] > 0).tolist()
        shares = {prompt: sum(own) / len(own) for prompt, own in hits.items()}
        found[style] = shares | {"tells": sum(tells) / len(tells), "n": len(hits["{}"])}
    return found


def by_one_word(names):
    """{"first", "last", "both": share}: how often a guess is right if it knows the first word, the
    last word, or both words of a name. It is right for one of all names that share these words."""
    parts = [name.split() for name in names]
    known = {"first": {own[0] for own in parts}, "last": {own[-1] for own in parts}}
    known["both"] = {(own[0], own[-1]) for own in parts}
    return {which: len(different) / len(names) for which, different in known.items()}


def work(given, folder):
    """Ask the questions of a model: {question: its numbers}."""
    pairs, (model, tokenizer, _) = Icons(), load(given["model"])
    features = FeatureCache(model, tokenizer)
    families = [
        asked(pairs, of_family(pairs, family)[: given["pictures"]]) for family in DEVELOPMENT
    ]
    known = [own["known"] for own in families]
    plain = scores_of(features, pairs, ("{}",))
    indices = [i for _, own, _ in known for i in own]
    return {
        "candidates": by_candidates(plain, pairs, indices),
        "synonyms": by_synonyms(plain, known, synonyms()),
        "styles": by_styles(features, pairs, known),
        "one word": [by_one_word(own["combinations"][0]) for own in families],
    }


def write_report(found, args):
    """Write report.md and its figure. found: {model: [(training, found)]}."""
    [[(_, own)]] = found.values()
    report = Report(args.results, "What the released model of icons does with other words")
    report.section("More names to choose from", "section 3.1")
    report.table(("names", "top-1"), [(f"{int(n):,}", top) for n, top in own["candidates"].items()])
    report.say(
        "Pictures of the development families with a name that training has. The wrong names are drawn "
        "from all names of training, and the number is the mean over all draws. Another name for the same "
        "thing counts as wrong."
    )
    curve = [int(n) for n in own["candidates"]], [*own["candidates"].values()]
    axes = {"xscale": "log", "xlabel": "names to choose from", "ylabel": "top-1", "ylim": (0, 1)}
    report.figure(
        "candidates.png",
        "Top-1 on known names, by the number of names to choose from.",
        plots.lines,
        [({"zero-shot": curve}, axes)],
    )
    report.section("Synonyms", "section 3.1")
    asked_by = own["synonyms"]
    report.table(("asked by", "top-1"), [(which, asked_by[which]) for which in ("name", "synonym")])
    report.say(
        f"{asked_by['pairs']} pairs of a name and another word for it (synonyms.txt), each with the same weight. "
        "The word stands among the other known names of the family."
    )
    report.section("Styles", "section 3.1.4")
    report.table(
        ("pictures", *PROMPTS, "tells", "n"),
        [(style, *shares.values()) for style, shares in own["styles"].items()],
    )
    report.say(
        "Top-1 on known names, with the style in the prompt of each name. Tells: how often a picture fits "
        "its own name better with its own style than with the other one."
    )
    report.section("One word of a new combination", "section 3.1")
    families = own["one word"]
    report.table(
        ("a guess that knows", "top-1"),
        [(end, sum(o[end] for o in families) / len(families)) for end in families[0]],
    )
    report.say(
        "Means over the development families, in which every new combination counts the same: how often "
        "a guess is right that knows one word of each name, or both, but not what else is in the name."
    )
    report.write()


if __name__ == "__main__":
    run()
