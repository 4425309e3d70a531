"""The race of objectives: it resumes, keeps what has ended, and stops its trainings when stopped."""

import collections
import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from miniclip.common import write_json
from miniclip.data.icons.dataset import Icons
from miniclip.evaluation.runs import finished
from miniclip.objectives import OBJECTIVES, race
from miniclip.training import checkpoint
from tests.evaluation.fake_icons import NAMES, drawn

ROOT = Path(__file__).parents[2]
TRAININGS = [how for runs in race.plan("projection").values() for how in runs][:4]


def work(options, folder):
    """In the place of race.compete: notes the call, and fails while the folder lacks a file."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / "calls", "a") as file:
        print(options["seed"], options.get("projection", "linear"), file=file)
    if options == TRAININGS[2] and not (folder.parent / "mended").exists():
        raise SystemExit(1)
    write_json(folder / "found.json", {"race": {"right": "0110"}})


@pytest.mark.slow
def test_what_has_ended_is_kept_and_not_done_again(tmp_path, capsys):
    path = tmp_path / "results/runs.jsonl"
    with pytest.raises(SystemExit, match="its log is"):
        race.run_all(TRAININGS, path, tmp_path, 1, work)
    assert [line["run"]["options"] for line in finished(path)] == TRAININGS[:2]
    (tmp_path / "mended").touch()
    race.run_all(TRAININGS, path, tmp_path, 2, work)
    done = [line["run"]["options"] for line in finished(path)]
    assert done[:2] == TRAININGS[:2] and len(done) == 4
    assert len((tmp_path / "calls").read_text().splitlines()) == 5
    race.run_all(TRAININGS, path, tmp_path, 2, work)
    assert len((tmp_path / "calls").read_text().splitlines()) == 5
    assert "top-1 0.500 | ETA of all" in capsys.readouterr().out


def test_one_line_in_the_table_enters_an_objective_in_the_race(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "mine", OBJECTIVES["bag_of_words"])
    trainings = race.plan("race")["mine"]
    assert {how["lr"] for how in trainings} == {race.RATES["contrastive"]}
    assert all(race.expected_s(how) > race.AROUND_S for how in trainings)


def test_a_training_with_other_settings_is_another_one(monkeypatch):
    first, *others = [race.settings(how) for how in TRAININGS]
    assert first not in others and json.loads(json.dumps(first)) == first
    monkeypatch.setattr(race, "CLASSES", 50)
    assert race.settings(TRAININGS[0]) != first


def test_the_classes_are_those_with_most_pictures_and_always_the_same(monkeypatch):
    pairs = Icons(held_out_sites=("fluent",), drawn=drawn())
    monkeypatch.setattr(race, "CLASSES", 3)
    held = pairs.splits["heldout_site"]
    # one more picture for each of these: the same picture again
    more = [i for i in held for _ in range(pairs.names(i)[0] in ("heart", "drum"))]
    pairs.splits["heldout_site"] = held + more
    assert race.fixed_classes(pairs) == ["drum", "heart", sorted({*NAMES} - {"drum", "heart"})[0]]


def test_answers_are_right_by_any_name_and_centred_ones_need_no_frequent_name():
    pairs = Icons(held_out_sites=("fluent",), drawn=drawn())
    names, held = [*pairs.shared_names], pairs.splits["heldout_site"]
    own = torch.tensor([names.index(pairs.names(i)[0]) for i in held])
    scores = torch.nn.functional.one_hot(own, len(names)).float()
    scores[:, 2] += 5.0  # a name that is so frequent that it always wins
    features = types.SimpleNamespace(images=lambda *_: (None, held), scores=lambda *_: scores)
    found = race.answers(features, pairs, names)
    counts = collections.Counter(n for i in pairs.splits["train"] for n in pairs.names(i))
    assert found["known"] == [counts[names[k]] for k in own] and 0 < min(found["known"])
    assert found["right"] == "".join(str(int(k == 2)) for k in own)
    assert found["centred"] == "1" * len(held)


@pytest.mark.parametrize("options", [{"seed": 3}, {"seed": 3, "pairs": "as many"}])
def test_a_training_has_its_options_and_is_tested_with_the_pairs_that_it_was_trained_on(
    tmp_path, monkeypatch, options
):
    asked, tested = [], []
    pairs = Icons(held_out_sites=("fluent",), drawn=drawn())
    everything = len(pairs.splits["train"])
    monkeypatch.setattr(race, "Icons", lambda held_out_sites: pairs)
    monkeypatch.setattr(race, "chosen_pairs", lambda *_: 5)
    monkeypatch.setattr(race.train, "main", lambda flags: asked.extend(flags))
    model = types.SimpleNamespace(shared_space=True)
    monkeypatch.setattr(race, "load", lambda path: (model, None, None))
    monkeypatch.setattr(race, "FeatureCache", lambda *_: None)

    def answers(features, pairs, names):
        tested.append((len(pairs.splits["train"]), len(names)))
        return {}

    monkeypatch.setattr(race, "answers", answers)
    race.compete(options, tmp_path)
    flags = dict(zip(asked[:-1:2], asked[1:-1:2]))
    assert flags["--seed"] == "3" and asked[-1] == "--resume"
    assert flags.get("--pairs") == ("5" if "pairs" in options else None)
    trained_on = 5 if "pairs" in options else everything
    assert tested == [(trained_on, min(race.CLASSES, len(NAMES))), (trained_on, len(NAMES))]
    assert set(json.loads((tmp_path / "found.json").read_text())) == {"cpu_s", "race", "all names"}


def test_figures_without_all_trainings_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        race.main(["--figures", "--ablation", "projection", "--results", str(tmp_path)])
    assert stop.value.code == 2 and "lacks 6 runs" in capsys.readouterr().err


@pytest.mark.slow
def test_stopped_it_stops_its_trainings_and_goes_on_later(tmp_path):
    command = [sys.executable, "-m", "miniclip.objectives.race", "--quick", "--ablation", "cap"]
    command += ["--jobs", "1", "--out", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        next(line for line in process.stdout if "top-1" in line)  # one training has ended
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    assert len(finished(tmp_path / "quick/runs.jsonl")) == 1
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads((tmp_path / "quick/cap/results.json").read_text())
    assert found.keys() == {"cap", "as many, drawn", "all pairs"}
    for folder in tmp_path.glob("*/checkpoint.pt"):
        assert checkpoint.load(folder)["step"] == race.QUICK[-1]


@pytest.mark.slow
def test_the_quick_race(tmp_path):
    jobs = str(os.cpu_count())
    assert race.main(["--quick", "--out", str(tmp_path), "--jobs", jobs]) == 0
    results = json.loads((tmp_path / "quick/race/results.json").read_text())
    assert results.keys() == OBJECTIVES.keys()
    for name, found in results.items():
        assert found["pairs"] == [steps * race.BATCH for steps in race.QUICK]
        assert all(0 <= share <= 1 for (share,) in found["top-1"]), name
    assert (tmp_path / "quick/race/race.png").exists()
