"""torchrun train.py: many ranks are one process with the same global batch, and none is left behind."""

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

from miniclip import checkpoint

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pairs_folder(tmp_path_factory):
    """33 pictures of noise, each with its caption beside it."""
    folder = tmp_path_factory.mktemp("pairs")
    for k in range(33):
        noise = torch.randint(0, 256, (40, 40, 3), generator=torch.Generator().manual_seed(k))
        Image.fromarray(noise.to(torch.uint8).numpy()).save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text(f"noise number {k}")
    return folder


def start(ranks, pairs_folder, out, *more, restarts=0):
    """Start train.py on so many ranks; its output goes to the returned process's stdout."""
    command = [sys.executable]
    if ranks > 1:
        command += ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
        command += ["--max-restarts", str(restarts), "--standalone"]
    command += ["train.py", "--model", "vit_mini", "--data", str(pairs_folder), "--out", str(out)]
    command += ["--batch-size", "9", "--threads", "1", *map(str, more)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process):
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def weights(out):
    return checkpoint.load(out / "checkpoint.pt")["model"]


def assert_close(a, b, tolerance=1e-5):
    """All parameters but the attention's key bias: its true gradient is zero, softmax does not see
    a shift of all keys, and what AdamW makes of the rounding noise is as large as a step."""
    for name in a:
        x, y = a[name], b[name]
        if name.endswith("in_proj_bias"):
            x, y = (torch.cat([t.chunk(3)[0], t.chunk(3)[2]]) for t in (x, y))
        worst = (x - y).abs().max().item()
        assert worst <= tolerance, f"{name} differs by {worst:.1e}"


def children_named(marker):
    """Processes whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def test_two_ranks_end_with_the_weights_of_one_process(pairs_folder, tmp_path):
    # AdamW divides by the gradient's own size: where the true one is about zero (3 weights in
    # 50,000) it makes whole steps of rounding noise, so a step is kept near the tolerance
    three = ("--steps", 3, "--lr", 5e-5)
    code, said = finish(start(1, pairs_folder, tmp_path / "one", *three))
    assert code == 0, said
    # shares of 5 and 4 pairs in parts of at most 4: two for one rank, one for the other
    code, said = finish(start(2, pairs_folder, tmp_path / "two", *three, "--micro-batch", 4))
    assert code == 0, said
    assert said.count("evaluating") == 1, said
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert_close(one, two)
    _, said = finish(start(1, pairs_folder, tmp_path / "less", "--steps", 1, "--lr", 1e-9))
    moved = (weights(tmp_path / "less")["text_projection"] - one["text_projection"]).abs()
    assert moved.median() > 3e-5, f"they moved by {moved.median():.1e} only"


def test_a_problem_is_said_once_and_ends_all_ranks(pairs_folder, tmp_path):
    code, said = finish(start(2, pairs_folder, tmp_path / "run", "--batch-size", 1))
    assert code != 0
    assert said.count("leaves some ranks without a pair") == 1, said
    assert not children_named(str(tmp_path / "run"))


@pytest.mark.slow
def test_a_run_of_two_ranks_goes_on_alone(pairs_folder, tmp_path):
    whole = start(1, pairs_folder, tmp_path / "whole", "--steps", 8, "--lr", 1e-5)
    assert finish(whole)[0] == 0
    run = start(2, pairs_folder, tmp_path / "moved", "--steps", 8, "--lr", 1e-5, "--save-every", 3)
    while not (tmp_path / "moved/checkpoint.pt").exists() and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    finish(run)
    assert finish(start(1, pairs_folder, tmp_path / "moved", "--resume"))[0] == 0
    assert_close(weights(tmp_path / "whole"), weights(tmp_path / "moved"))


def assert_same(a, b):
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different, f"{len(different)} of {len(a)} differ: {different[:3]}"


LONG = ("--steps", 120, "--save-every", 5, "--log-every", 5)


@pytest.fixture(scope="module")
def undisturbed(pairs_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    code, said = finish(start(2, pairs_folder, out, *LONG))
    assert code == 0, said
    return weights(out)


@pytest.mark.slow
def test_killed_as_a_whole_ten_times(pairs_folder, tmp_path, undisturbed):
    moments, out = random.Random(1), tmp_path / "run"
    for _ in range(10):
        run = start(2, pairs_folder, out, *LONG, "--resume")
        wait_until_it_trains(run, out)
        time.sleep(moments.uniform(0, 0.4))
        for pid in children_named(str(out)):
            os.kill(pid, signal.SIGKILL)
        finish(run)
        if (out / "checkpoint.pt").exists():
            checkpoint.load(out / "checkpoint.pt")  # never unreadable
    code, said = finish(start(2, pairs_folder, out, *LONG, "--resume"))
    assert code == 0, said
    assert_same(undisturbed, weights(out))
    assert not children_named(str(out))


@pytest.mark.slow
def test_one_rank_of_two_killed_five_times_is_restarted(pairs_folder, tmp_path, undisturbed):
    moments, out = random.Random(2), tmp_path / "run"
    run = start(2, pairs_folder, out, *LONG, restarts=5)
    for _ in range(5):
        wait_until_it_trains(run, out)
        time.sleep(moments.uniform(0, 0.4))
        ranks = [pid for pid in children_named(str(out)) if pid != run.pid]
        if ranks:
            os.kill(moments.choice(ranks), signal.SIGKILL)
            deadline = time.monotonic() + 60
            while set(ranks) & set(children_named(str(out))) and time.monotonic() < deadline:
                time.sleep(0.05)  # until torchrun has taken the others down
    code, said = finish(run)
    assert code == 0, said[-3000:]
    assert_same(undisturbed, weights(out))
    assert not children_named(str(out))


def wait_until_it_trains(run, out):
    log = out / "log.jsonl"
    before = log.read_bytes() if log.exists() else b""
    while run.poll() is None and (not log.exists() or log.read_bytes() == before):
        time.sleep(0.01)
