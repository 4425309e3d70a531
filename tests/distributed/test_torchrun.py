"""torchrun train.py: many ranks give what one process gives with the same batch; none is left over."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from miniclip.training.freeze import tower_of
from tests.runs import assert_same_weights, final, on
from tests.shared import ROOT


def start(ranks, pairs_csv, out, *more, restarts=0, program=None):
    """Start train.py, or a program around it, on so many ranks; its output goes to the returned
    process's stdout."""
    script = out.with_suffix(".py") if program else "train.py"
    if program:
        script.write_text(program)
    command = [sys.executable]
    if ranks > 1:
        command += ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)]
        command += ["--max-restarts", str(restarts), "--standalone"]
    command += [str(script), "--model", "vit_mini", *on(pairs_csv, out, "--batch-size", 9, *more)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def output_of(process, timeout_s=300):
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, said


def finished(*arguments, **how):
    """The output of `start` with these arguments, once it has ended with code 0."""
    code, said = output_of(start(*arguments, **how))
    assert code == 0, said[-3000:]
    return said


def weights(out):
    return final(out)["model"]


def assert_close(a, b, tolerance=1e-5, of=torch.max):
    """All parameters but the attention's key bias: its true gradient is zero, softmax does not see
    a shift of all keys, and what AdamW makes of the rounding noise is as large as a step.

    of: torch.max or torch.mean, of the differences within a tensor."""
    for name in a:
        x, y = a[name], b[name]
        if name.endswith("in_proj_bias"):
            x, y = (torch.cat([t.chunk(3)[0], t.chunk(3)[2]]) for t in (x, y))
        worst = of((x - y).abs().float()).item()
        assert worst <= tolerance, f"{name} differs by {worst:.1e}"


def children_named(marker):
    """Processes whose command line holds `marker`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(marker).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


THREE = ("--steps", 3, "--lr", 5e-5)


def assert_the_same_run(one, two):
    """After THREE. AdamW divides by the gradient's own size: where the true one is about zero, it
    makes whole steps of rounding noise, so single weights may be 2 x 3 x 5e-5 apart, one in a tensor
    of 128 or more: 2.3e-6 in the mean. A tensor that is trained moves by ten times that."""
    assert_close(one, two, 3e-6, of=torch.mean)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more, sentence",
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--plan"], "one process makes a plan; give --world-size in place of torchrun"),
        # only rank 0 measures held-out pairs
        (["--steps", 6, "--lr", 1e15, "--eval-every", 2], "this model has diverged"),
    ],
)
def test_a_mistake_is_one_sentence_from_all_ranks_together(more, sentence, pairs_csv, tmp_path):
    code, said = output_of(start(2, pairs_csv, tmp_path / "run", *more))
    assert code and said.count(sentence) == said.count("train.py: error: ") == 1, said


COMPILED = """
import functools, sys, torch, train
torch.compile = functools.partial(torch.compile, backend="aot_eager")
sys.exit(train.main())
"""
PARTS = ("--micro-batch", 4)  # shares of 5 and 4 pairs, each in two parts


@pytest.mark.slow
@pytest.mark.parametrize(
    "more, program",
    [
        (PARTS, None),
        (["--compile"], COMPILED),
        # before torch 2.13 a graph with checkpointed blocks could not be split at DDP's buckets
        ([*PARTS, "--compile", "--grad-checkpointing"], COMPILED),
    ],
)
def test_two_ranks_end_with_the_weights_of_one_process(more, program, pairs_csv, tmp_path):
    finished(1, pairs_csv, tmp_path / "one", *THREE)
    said = finished(2, pairs_csv, tmp_path / "two", *THREE, *more, program=program)
    assert said.count("evaluating") == 1, said
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert_the_same_run(one, two)
    finished(1, pairs_csv, tmp_path / "less", "--steps", 1, "--lr", 1e-9)
    moved = (weights(tmp_path / "less")["text_projection"] - one["text_projection"]).abs()
    assert moved.mean() > 3e-5, f"they moved by {moved.mean():.1e} only"


# ranks with a collective in every forward pass, as synchronized batch norms have on GPUs
COLLECTIVE = """
import sys
import torch
import train
from miniclip.model.clip import CLIP

def collective(module, inputs):
    if isinstance(module, CLIP) and torch.distributed.is_initialized():
        torch.distributed.all_reduce(torch.zeros(1))
        print(f"rank {torch.distributed.get_rank()}: {len(inputs[0])} pairs", flush=True)

torch.nn.modules.module.register_module_forward_pre_hook(collective)
sys.exit(train.main())
"""


@pytest.mark.slow
def test_ranks_with_uneven_shares_make_equally_many_parts(pairs_csv, tmp_path):
    """Fails where one rank makes two parts of its 5 pairs and the other one of its 4: with
    collectives in the forward pass, as synchronized batch norm has, they wait for ever."""
    two = ("--steps", 2, "--micro-batch", 4)
    said = finished(2, pairs_csv, tmp_path / "run", *two, program=COLLECTIVE)
    for rank, parts in ((0, [3, 2]), (1, [2, 2])):
        counts = [int(count) for count in re.findall(f"rank {rank}: ([0-9]+) pairs", said)]
        assert counts == parts * 4, f"rank {rank}: parts of {counts} pairs in 2 steps of 2 passes"


@pytest.mark.slow
def test_a_run_of_two_ranks_goes_on_alone(pairs_csv, tmp_path):
    finished(1, pairs_csv, tmp_path / "whole", "--steps", 8, "--lr", 1e-5)
    run = start(2, pairs_csv, tmp_path / "moved", "--steps", 8, "--lr", 1e-5, "--save-every", 3)
    while not (tmp_path / "moved/checkpoint.pt").exists() and run.poll() is None:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    output_of(run)
    finished(1, pairs_csv, tmp_path / "moved", "--resume")
    assert_close(weights(tmp_path / "whole"), weights(tmp_path / "moved"))


LONG = ("--steps", 120, "--save-every", 5, "--log-every", 5)


@pytest.fixture(scope="module")
def undisturbed(pairs_csv, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    finished(2, pairs_csv, out, *LONG)
    return out


@pytest.mark.slow
def test_one_rank_of_two_killed_five_times_is_restarted(pairs_csv, tmp_path, undisturbed):
    moments, out = random.Random(2), tmp_path / "run"
    run = start(2, pairs_csv, out, *LONG, restarts=5)
    for _ in range(5):
        wait_until_it_trains(run, out)
        time.sleep(moments.uniform(0, 0.4))
        ranks = [pid for pid in children_named(out) if pid != run.pid]
        if ranks:
            os.kill(moments.choice(ranks), signal.SIGKILL)
            deadline = time.monotonic() + 60
            while set(ranks) & set(children_named(out)) and time.monotonic() < deadline:
                time.sleep(0.05)  # until torchrun has taken the others down
    code, said = output_of(run)
    assert code == 0, said[-3000:]
    assert_same_weights(undisturbed, out)
    assert not children_named(out)


def wait_until_it_trains(run, out):
    log = out / "log.jsonl"
    before = log.read_bytes() if log.exists() else b""
    while run.poll() is None and (not log.exists() or log.read_bytes() == before):
        time.sleep(0.01)


# only rank 0 may read the file of --init: other machines need not have it
READ_BY_RANK_0 = """
import os
import sys
import train

def initial_state(*args):
    raise AssertionError("--init was read on another rank than 0")

if os.environ.get("RANK", "0") != "0":
    train.initial_state = initial_state
sys.exit(train.main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("tower", ["image", "text"])
def test_two_ranks_fine_tune_beside_a_frozen_tower_as_one_process_does(tower, pairs_csv, tmp_path):
    finished(1, pairs_csv, tmp_path / "start", "--steps", 2)
    more = (*THREE, "--init", tmp_path / "start/checkpoint.pt", "--freeze", tower)
    finished(1, pairs_csv, tmp_path / "one", *more)
    many = (*more, "--micro-batch", 4)
    said = finished(2, pairs_csv, tmp_path / "two", *many, program=READ_BY_RANK_0)
    assert f"the {tower} tower frozen" in said, said
    before, one, two = (weights(tmp_path / name) for name in ("start", "one", "two"))
    assert_the_same_run(one, two)
    frozen = [name for name in before if tower_of(name) == tower]
    assert frozen and all(torch.equal(before[n], x[n]) for n in frozen for x in (one, two))
    trained = "text_projection" if tower == "image" else "visual.proj"
    moved = (before[trained] - two[trained]).abs().mean()
    assert moved > 3e-5, f"the other tower moved by {moved:.1e} only"
