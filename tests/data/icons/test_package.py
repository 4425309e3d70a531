"""The real package: what docs/icons.md says of it, and the report of the released model, again."""

import json
from pathlib import Path

import make_sample
import pytest

import miniclip
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.icons import iconify, sample
from miniclip.data.icons.families import COMBINATIONS, DEVELOPMENT, SEALED, holds
from miniclip.evaluation.families import scores_of, zero_shot
from miniclip.evaluation.features import FeatureCache

DOCS = Path(__file__).parents[3] / "docs"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs():
    try:
        return open_pairs("icons")
    except UserError as error:
        pytest.skip(str(error))  # npm, or its registry, is not there


def test_the_counts_are_those_of_the_page(pairs):
    page = (DOCS / "icons.md").read_text("utf-8")
    counts = [len(pairs), *map(len, pairs.splits.values()), len(pairs.trained_names)]
    assert all(f"{count:,}" in page for count in counts), counts
    used = [line.split()[1:3] for line in pairs.credits[1:]]
    assert {*SEALED, *DEVELOPMENT} <= {family for family, _ in used}


def test_nothing_under_seal_and_nothing_held_out_is_trained_on(pairs):
    homes = {home for own in pairs.homes for home in own}
    assert homes.isdisjoint(SEALED) and homes.issuperset(DEVELOPMENT)
    held_out = pairs.combinations | pairs.sealed_combinations
    assert len(held_out) == sum(COMBINATIONS)
    for i in pairs.splits["train"]:
        assert pairs.homes[i].isdisjoint(DEVELOPMENT)
        assert not any(holds(name, held_out) for name in pairs.names(i)), pairs.where(i)


def test_the_icons_in_the_package_are_those_of_their_rule(pairs):
    sets = iconify.read(iconify.archive())
    assert json.loads(sample.FILE.read_text("utf-8")) == make_sample.chosen(sets)


def test_the_released_model_repeats_its_report(pairs):
    committed = json.loads((DOCS / "icons/report/results.json").read_text("utf-8"))["zero_shot"]
    model, tokenizer, _ = miniclip.load("web")
    found = zero_shot(scores_of(FeatureCache(model, tokenizer), pairs), pairs, ("eva", "typcn"))
    for family, asked in found.items():
        for question, own in asked.items():
            then = committed[family][question]
            assert (own["n"], own["classes"]) == (then["n"], then["classes"])
            # two scores that are equal but for their rounding may change places on another processor
            assert abs(own["top-1"] - then["top-1"]) <= 0.01, (family, question)
