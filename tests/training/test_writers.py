"""--log: what TensorBoard and wandb hold, by their own readers, is what log.jsonl holds."""

import json
import struct
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto.wandb_internal_pb2 import Record

import train
from miniclip.training.logging import read_log
from tests.runs import lengthen, on, resume, run


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


def records(file):
    """The records of a .wandb file: chunks in blocks of 32 KiB, as LevelDB's log has them."""
    data, at, record = file.read_bytes(), 7, b""
    while len(data) - at > 7:
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if -at % 32768 < 7:  # no further chunk fits into the block
            at += -at % 32768
        if kind in (1, 4):  # the only chunk of a record, or its last
            yield Record.FromString(record)
            record = b""


def in_wandb(folder):
    """({name: {step: number}}, the run's id) in a folder of an offline run."""
    [file], found, ids = folder.glob("*.wandb"), {}, set()
    for record in records(file):
        ids |= {record.run.run_id} - {""}
        items = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
        for name in items.keys() - {"_step", "_runtime", "_timestamp"}:
            found.setdefault(name, {})[items["_step"]] = items[name]
    return found, ids


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
    [one] = tmp_path.glob("wandb/offline-run-*")
    found, ids = in_wandb(one)
    assert found == logged(tmp_path)
    lengthen(tmp_path, 5)
    assert resume(tmp_path, *options) == 0
    [two] = set(tmp_path.glob("wandb/offline-run-*")) - {one}
    more, same = in_wandb(two)
    assert same == ids and len(ids) == 1
    assert {name: found.get(name, {}) | more[name] for name in more} == logged(tmp_path)


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_said_before_anything_is_read(package, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(train.main, *on(tmp_path / "nothing.csv", tmp_path / "run", "--log", package))
    assert f"needs: pip install 'miniclip[{package}]'" in said
