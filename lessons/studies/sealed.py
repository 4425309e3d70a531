"""Do words carry over to new names, in families that nobody had looked at (CLIP, section 3.1)?

    python lessons/studies/sealed.py            after words.py, whose trained models it tests; half an hour

The families under seal were drawn by a rule before any model was trained, and this is the only file
that opens the seal. The question, and what would count as a success, were written down before, in
docs/icons.md. The answer is the accuracy on new combinations of known words. Each name counts the
same, and the accuracy is averaged over families. CANDIDATE is the text side that was chosen on the
development families. harness.py has the options.
Left out of the test: pictures that equal a training picture. Results are also given without near
copies.
"""

from pathlib import Path

import numpy as np
import torch
import words
from harness import run
from scipy.stats import wilcoxon

from miniclip import plots
from miniclip.data.icons.drawing import coarse
from miniclip.data.icons.families import SEALED
from miniclip.data.icons.icons import Icons, pictures
from miniclip.evaluation.confidence import interval
from miniclip.evaluation.families import NEAR, QUESTIONS, closeness, combinations, zero_shot
from miniclip.evaluation.report.writer import Report

RESULTS, OPTIONS = "docs/icons/sealed", {}
CANDIDATE = "a bag of words"
BASELINES = ["a table of names", "a softmax over words"]  # what the candidate must be better than
ARMS = [CANDIDATE, *BASELINES, "CLIP: the end token", "the nearest picture by HOG"]
DRAWS = 10_000  # of the bootstrap
settings = words.settings


def plan(args):
    """{arm: its trainings}: those of words.py."""
    return {arm: words.trainings(arm, args) for arm in ARMS}


def opened(pairs):
    """The pairs with the seal open. pairs: Icons, whose split `train` is kept.

    The split heldout_site has the pictures of the sealed families that equal no training picture.
    The split heldout_names has the pictures of training families with a combination under seal.
    """
    owned, inks = pictures(under_seal=True)
    trained = {coarse(pairs.inks[i]) for i in pairs.splits["train"]}
    new = [k for k, ink in enumerate(inks) if coarse(ink) not in trained]
    both = [*pairs.owned, *(owned[k] for k in new)], np.concatenate([pairs.inks, inks[new]])
    found = Icons(drawn=both)
    placed = {i for split in pairs.splits.values() for i in split}
    found.splits["heldout_site"] = [*range(len(pairs), len(found))]
    found.splits["heldout_names"] = [i for i in range(len(pairs)) if i not in placed]
    return found


def among_relatives(scores, pairs):
    """Scores with which only names that share a word with the right name can be the answer.

    So it is not enough to know one word of a combination.
    """

    def masked(indices, names):
        parts = [{*name.split()} for name in names]
        right = ({word for name in pairs.names(i) for word in name.split()} for i in indices)
        apart = torch.tensor([[own.isdisjoint(words) for words in parts] for own in right])
        return scores(indices, names).masked_fill(apart, -torch.inf)

    return masked


def work(given, folder):
    """Test a model of words.py on the sealed families. Returns a dict:

    all                  what zero_shot found
    far                  what it found without near copies
    relatives            what it found among names that share a word with the right one
    training families    the combinations under seal, in pictures of training families
    """
    pairs = opened(Icons())
    kept = folder.parent.with_name(Path(words.RESULTS).name) / folder.name
    kept.mkdir(parents=True, exist_ok=True)
    model, tokenizer, _ = words.trained(given, kept, pairs)
    scores = words.scores_for(given["arm"], model, tokenizer, pairs)
    whole = zero_shot(scores, pairs, SEALED)
    relatives = zero_shot(among_relatives(scores, pairs), pairs, SEALED)
    tests = pairs.splits["heldout_site"]
    close = closeness(pairs, tests).tolist()
    pairs.splits["heldout_site"] = [i for i, cosine in zip(tests, close) if cosine < NEAR]
    return {
        "all": whole,
        "relatives": relatives,
        "far": zero_shot(scores, pairs, SEALED),
        "training families": combinations(scores, pairs),
    }


def macro(runs, question, among="all"):
    """{family: its accuracy, in which each name counts the same, as a mean over seeds}.

    runs: [(training, found)]. Families without an answer to the question are left out.
    """
    families = [own[among] for _, own in runs]
    asked = [family for family in SEALED if question in families[0].get(family, {})]
    return {f: float(np.mean([own[f][question]["macro"] for own in families])) for f in asked}


def over_families(runs, question, among="all"):
    """The mean of `macro` over families."""
    return float(np.mean([*macro(runs, question, among).values()]))


def difference(first, second):
    """Compare two arms over families. first, second: {family: accuracy}. Returns a dict:

    value, low, high    the mean of first minus second; its interval, by a bootstrap over families
    ahead               in how many families first is ahead
    p                   the exact two-sided p of Wilcoxon's signed-rank test
    """
    gains = np.array([first[family] - second[family] for family in first])
    draws = np.random.default_rng(0).integers(len(gains), size=(DRAWS, len(gains)))
    low, high = np.quantile(gains[draws].mean(1), (0.025, 0.975))
    ahead = f"{(gains > 0).sum()} of {len(gains)}"
    p = wilcoxon(gains, method="exact").pvalue
    return dict(value=gains.mean(), low=low, high=high, ahead=ahead, p=p)


def write_report(found, args):
    """Write report.md and its figure. found: {arm: [(training, found)]}."""
    report = Report(args.results, "Whether words carry over to new names: the families under seal")
    report.section("Accuracy on families never looked at", "section 3.1")
    rows = []
    for arm, runs in found.items():
        seeds = [over_families([own], "combinations") for own in runs]
        cells = (
            *(over_families(runs, question) for question in QUESTIONS),
            f"{min(seeds):.3f} to {max(seeds):.3f}",
            *(over_families(runs, "combinations", among) for among in ("far", "relatives")),
            np.mean([own["training families"]["macro"] for _, own in runs]),
        )
        rows.append((arm, *cells))
    report.table(
        ("arm", *QUESTIONS, "combinations by seed", "far", "relatives", "training families"),
        sorted(rows, key=lambda row: row[1], reverse=True),
    )
    report.say(
        "Accuracies in which each name counts the same, averaged over the sealed families and three "
        "seeds (HOG has no seeds). Known: names that training captions have. Site: all names of a "
        "family. Combinations: new names of known words, among all such names of the family. Far: "
        "combinations, without near copies of training pictures. Relatives: combinations, among names "
        "that share a word with the right one. The last column is about pictures of training families "
        "whose combination is under seal."
    )
    report.section("What was written down before", "section 3.1")
    rows, holds = [], {}
    for arm in [arm for arm in found if arm != CANDIDATE]:
        for among in ("all", "far"):
            candidate = macro(found[CANDIDATE], "combinations", among)
            gain = difference(candidate, macro(found[arm], "combinations", among))
            holds[arm, among] = gain["low"] > 0 and gain["p"] < 0.01
            of_gain = f"{gain['value']:+.3f}", interval(gain["low"], gain["high"])
            rows.append((arm, among, *of_gain, gain["ahead"], f"{gain['p']:.1e}"))
    report.table((f"{CANDIDATE} against", "pictures", "gain", "95 %", "ahead in", "p"), rows)
    verdict = {
        "holds": all(holds[arm, "all"] for arm in BASELINES),
        "holds in part: words help as labels": holds[BASELINES[0], "all"],
        "does not hold": True,
    }
    report.say(
        "The gain is the mean over families of the difference on new combinations. Its interval is by "
        "a bootstrap over families, and p is Wilcoxon's. The claim that words carry over to new names "
        f"{next(words for words, true in verdict.items() if true)}."
    )
    axes = dict(xlabel="share of names", xlim=(0, 1))
    of_families = {arm: macro(runs, "combinations") for arm, runs in found.items()}
    shown = {arm: ([*own.values()], [*own]) for arm, own in of_families.items()}
    report.figure(
        "combinations.png",
        "Accuracy on new combinations of known words, for each family under seal.",
        lambda path: plots.lines([(shown, axes)], path, dots=shown),
    )
    report.write()


if __name__ == "__main__":
    run()
