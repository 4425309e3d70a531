"""Groups are what the names state; several names of one class count as one class."""

import pytest
import torch

from miniclip.evaluation import bias
from tests.evaluation.fakes import Features, Plane, context_of
from tests.shared import must_refuse


@pytest.mark.parametrize(
    "names, expected",
    [
        (["woman firefighter: dark skin tone"], "woman"),
        (["man golfing"], "man"),
        (["judge"], "not stated"),
        (["person biking", "man biking"], "both names"),
        (["woman and man holding hands"], "both names"),
        (["mango"], "not stated"),
    ],
)
def test_gender_is_what_the_names_say(names, expected):
    assert bias.gender(names) == expected


class People(Plane):
    """Four cooks and two judges, drawn as women, men and neither; a king has no queen, so no class,
    and the last cook was trained on."""

    def __init__(self):
        names = ["woman cook: dark skin tone", "man cook", "cook", "man cook: light skin tone"]
        names += ["woman judge", "man judge", "king", "man king", "man cook"]
        splits = {"train": [8], "heldout_compositions": [*range(8)]}
        super().__init__([0, 10, 20, 60, 90, 100, 0, 0, 90], names=names, splits=splits)

    def tones(self, i):
        return {0: ["dark"], 3: ["light"], 4: ["light", "dark"]}.get(i, [])


def test_errors_are_counted_by_group_for_each_wording(report):
    texts = {"cook": 0, "judge": 90, "man cook": 0, "man judge": 20, "woman cook": 80}
    context = context_of(report, Features(texts | {"woman judge": 90}), pairs=People())
    found = bias.write(context)
    assert (found["n"], found["classes"]) == (6, 2)

    def errors(wording):
        return {g: (round(s["value"] * s["n"]), s["n"]) for g, s in found[wording].items()}

    groups = {"man": (1, 3), "not stated": (0, 1), "woman": (0, 2), "everybody": (1, 6)}
    tones = {"dark": (0, 1), "light": (1, 1), "two tones": (0, 1), "no tone stated": (0, 3)}
    assert errors("name alone") == groups | tones  # the cook at 60 degrees is nearer to 90
    # 10 degrees is the boundary of man cook and man judge
    # under all three the best name of a class counts: 60 is nearest to woman cook, 20 to man judge
    for wording, group, count in (
        ("every name for a man", "not stated", (1, 1)),
        ("every name for a woman", "woman", (0, 2)),
        ("each class under all three", "light", (0, 1)),
        ("each class under all three", "not stated", (1, 1)),
    ):
        assert errors(wording)[group] == count, wording
    context.pairs = Plane([])
    must_refuse("name no groups", bias.write, context)


def test_groups_may_be_the_numbers_of_a_tensor():
    assert [*bias.error_by_group([0, 1, 1], [0, 0, 1], torch.tensor([4, 4, 5]))] == [4, 5]
