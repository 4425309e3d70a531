"""train.py: it learns, resumes to the bit, and refuses wrong input in one sentence."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import train
from miniclip import checkpoint

ROOT = Path(__file__).parent.parent
COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "pink", "brown"]
SHAPES = ["top", "left", "whole", "corner", "middle"]
BOXES = [(0, 0, 40, 20), (0, 0, 20, 40), (0, 0, 40, 40), (0, 0, 20, 20), (10, 10, 30, 30)]


@pytest.fixture(scope="module")
def pairs_csv(tmp_path_factory):
    """40 pictures: a coloured part of a white square, and what it is."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = ["filepath,caption"]
    for colour in COLOURS:
        for shape, box in zip(SHAPES, BOXES):
            picture = Image.new("RGB", (40, 40), "white")
            picture.paste(Image.new("RGB", (box[2] - box[0], box[3] - box[1]), colour), box)
            picture.save(folder / f"{colour}_{shape}.png")
            lines.append(f"{colour}_{shape}.png,{shape} {colour}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


@pytest.fixture(autouse=True)
def signals_and_threads_as_before():
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name, handler in before.items():
        signal.signal(name, handler)


def run(pairs_csv, out, *more):
    arguments = ["--data", pairs_csv, "--out", out, "--batch-size", 8, "--threads", 1, *more]
    return train.main([str(a) for a in arguments])


def final(out):
    return checkpoint.load(Path(out) / "checkpoint.pt")


def assert_same_weights(a, b):
    a, b = final(a), final(b)
    assert a["step"] == b["step"]
    different = [name for name in a["model"] if not torch.equal(a["model"][name], b["model"][name])]
    assert not different, f"{len(different)} of {len(a['model'])} differ: {different[:3]}"


def test_a_run_learns_and_leaves_what_it_promises(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--steps", 60, "--log-every", 10) == 0
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left >= {"checkpoint.pt", "log.jsonl", "curves.png", "results.json"}
    lines = [json.loads(s) for s in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    first, last = lines[0]["loss"], lines[-1]["loss"]
    assert last < 0.6 * first, f"the loss went from {first:.3f} to {last:.3f}"
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["steps"] == 60 and results["seed"] == 0
    heldout = results["heldout"]["text_to_image"]
    assert set(heldout) == {"R@1", "R@5", "R@10", "median_rank", "n", "gallery"}


def test_stopped_and_resumed_the_weights_are_the_same_tensors(pairs_csv, tmp_path, monkeypatch):
    run(pairs_csv, tmp_path / "whole", "--steps", 12)
    real, calls = train.contrastive_loss, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args)

    monkeypatch.setattr(train, "contrastive_loss", interrupted)
    assert run(pairs_csv, tmp_path / "parts", "--steps", 12) == 128 + signal.SIGTERM
    assert final(tmp_path / "parts")["step"] == 5
    monkeypatch.setattr(train, "contrastive_loss", real)
    assert train.main(["--out", str(tmp_path / "parts"), "--resume", "--threads", "1"]) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    steps = [json.loads(s)["step"] for s in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == 12


def test_a_wall_clock_budget_ends_the_run(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--minutes", 0.02) == 0
    assert final(tmp_path / "run")["step"] >= 1
    lines = [json.loads(s) for s in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert lines[-1]["lr"] < 2e-3 / 2


@pytest.mark.parametrize(
    "progress, share", [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0)]
)
def test_the_schedule_warms_up_and_falls_to_zero(progress, share):
    assert train.schedule(progress, 0.1) == pytest.approx(share)


def test_gains_biases_and_the_scale_are_not_decayed():
    from miniclip import create_model

    model = create_model("vit_mini", vocab_size=600)
    decayed, free = train.parameter_groups(model, 0.2)
    names = {id(p): name for name, p in model.named_parameters()}
    assert decayed["weight_decay"] == 0.2 and free["weight_decay"] == 0
    loose = {names[id(p)] for p in free["params"]}
    assert "logit_scale" in loose and "ln_final.weight" in loose
    assert all(
        names[id(p)].split(".")[-1] not in ("bias", "logit_scale") for p in decayed["params"]
    )
    assert len(decayed["params"]) + len(free["params"]) == len(names)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--model", "vit_b23"], ["vit_b23", "vit_b32"]),
        (["--batch-size", "0"], ["batch-size", "at least 1", "'0'"]),
        (["--lr", "nan"], ["lr", "nan"]),
        (["--data", "nowhere.csv"], ["nowhere.csv"]),
        (["--steps", "3", "--epochs", "2"], ["not allowed with"]),
        (["--warmup", "2"], ["warmup", "at most 1"]),
        (["--device", "cuda:99"], ["cuda:99"]),
        (["--no-such-option"], ["no-such-option"]),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["--out", str(tmp_path / "run"), *arguments])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.count("\n") == 1 and all(word in said for word in words), said
    assert not (tmp_path / "run").exists()


def test_another_runs_folder_is_refused_and_untouched(pairs_csv, tmp_path, capsys):
    run(pairs_csv, tmp_path / "run", "--steps", 2)
    before = (tmp_path / "run/checkpoint.pt").read_bytes()
    for more, word in (
        ([], "--resume"),
        (["--resume", "--model", "vit_mini"], "--model"),
        (["--resume", "--steps", "9"], "--steps"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(pairs_csv, tmp_path / "run", *more)
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.count("\n") == 1 and word in said, said
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == before


def test_a_csv_without_a_caption_column_is_refused(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit) as stop:
        train.main(["--data", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and "caption" in said, said


@pytest.mark.slow
def test_killed_five_times_the_weights_are_those_of_the_undisturbed_run(pairs_csv, tmp_path):
    def start(out):
        command = [sys.executable, "train.py", "--data", str(pairs_csv), "--out", str(out)]
        command += ["--batch-size", "8", "--threads", "1", "--steps", "150", "--save-every", "7"]
        return subprocess.Popen([*command, "--resume"], cwd=ROOT, stdout=subprocess.DEVNULL)

    assert start(tmp_path / "whole").wait() == 0
    moments, kills = random.Random(0), 0
    while kills < 5:
        child = start(tmp_path / "killed")
        log = tmp_path / "killed/log.jsonl"
        size = log.stat().st_size if log.exists() else 0
        while child.poll() is None and not (log.exists() and log.stat().st_size != size):
            time.sleep(0.01)  # until it has begun
        time.sleep(moments.uniform(0, 0.3))
        child.kill()
        child.wait()
        kills += 1
        if (tmp_path / "killed/checkpoint.pt").exists():
            final(tmp_path / "killed")  # readable
    assert start(tmp_path / "killed").wait() == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_vit_b32_takes_two_steps_on_a_cpu(pairs_csv, tmp_path):
    assert run(pairs_csv, tmp_path / "run", "--model", "vit_b32", "--steps", 2) == 0
    assert final(tmp_path / "run")["config"]["width"] == 768
