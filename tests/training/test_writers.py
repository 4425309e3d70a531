"""--log: what TensorBoard's own reader finds, and what is in wandb's file, is what log.jsonl holds."""

import json
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from miniclip.training import checkpoint
from miniclip.training.logging import read_log
from tests.runs import final, resume, run


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")


def logged(out):
    """{name: {step: number}} of log.jsonl."""
    found = {}
    for line in read_log(out / "log.jsonl"):
        for name, value in line.items():
            found.setdefault(name, {})[line["step"]] = pytest.approx(value)
    del found["step"]
    return found


def in_tensorboard(out):
    reader = EventAccumulator(str(out)).Reload()
    names = reader.Tags()["scalars"]
    return {name: {e.step: e.value for e in reader.Scalars(name)} for name in names}


def in_wandb(folder, lines):
    """Whether a folder of an offline run holds all numbers of these lines of log.jsonl, as JSON."""
    [file] = folder.glob("*.wandb")
    data = file.read_bytes()
    return all(json.dumps(x).encode() in data for line in lines for x in line.values())


def lengthen(out, steps):
    """Let a run that is over go on to more steps."""
    state = final(out)
    state["options"]["steps"] = steps
    checkpoint.save(out / "checkpoint.pt", state)


def test_tensorboard_holds_what_the_log_holds_and_a_resumed_run_goes_on(pairs_csv, tmp_path):
    options = ("--eval-every", 2, "--log-every", 1, "--log", "tensorboard")
    run(pairs_csv, tmp_path, "--steps", 3, *options)
    first = logged(tmp_path)
    assert in_tensorboard(tmp_path) == first and first["heldout_loss"].keys() == {2}
    lengthen(tmp_path, 5)
    assert resume(tmp_path, *options) == 0
    assert in_tensorboard(tmp_path) == logged(tmp_path)
    assert logged(tmp_path)["loss"].keys() == {1, 2, 3, 4, 5}


@pytest.mark.slow
def test_wandb_holds_what_the_log_holds_and_a_resumed_run_has_the_same_id(pairs_csv, tmp_path):
    options = ("--eval-every", 2, "--log-every", 1, "--log", "wandb")
    run(pairs_csv, tmp_path, "--steps", 3, *options)
    [one], lines = tmp_path.glob("wandb/offline-run-*"), read_log(tmp_path / "log.jsonl")
    assert in_wandb(one, lines)
    lengthen(tmp_path, 5)
    assert resume(tmp_path, *options) == 0
    [two] = set(tmp_path.glob("wandb/offline-run-*")) - {one}
    more = read_log(tmp_path / "log.jsonl")[len(lines) :]
    assert more and in_wandb(two, more) and not in_wandb(one, more)
    assert one.name.rpartition("-")[2] == two.name.rpartition("-")[2]


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_said_before_anything_is_read(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path / "nothing.csv", tmp_path / "run", "--log", package)
    assert f"needs: pip install 'miniclip[{package}]'" in capsys.readouterr().err
