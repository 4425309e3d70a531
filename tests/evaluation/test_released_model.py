"""The model card says what the first released model answered, in docs/icons/first/report/answers.csv."""

import csv
import json
from pathlib import Path

import pytest

FIRST = Path(__file__).parents[2] / "docs/icons/first"


@pytest.mark.parametrize("name, k", [("top-1", 1), ("top-5", 5)])
def test_the_mean_of_three_seeds_is_what_the_model_card_says(name, k):
    with open(FIRST / "report/answers.csv", encoding="utf-8", newline="") as file:
        right = [int(row["rank"]) <= k for row in csv.DictReader(file)]
    others = [
        found["zero_shot"] for found in json.loads((FIRST / "seeds.json").read_text()).values()
    ]
    seeds = [sum(right) / len(right)]
    seeds += [found["of the training sites too"][name]["value"] for found in others]
    row = " | ".join(f"{x:.3f}".lstrip("0") for x in (*seeds, sum(seeds) / 3))
    assert f"| {name} | {row} |" in (FIRST / "model_card.md").read_text(), row
