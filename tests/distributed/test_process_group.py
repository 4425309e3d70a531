"""Two ranks agree, take what rank 0 has, and stop together: one pair of processes for all of it."""

import contextlib
import io
import json
import os
import shlex
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as torch_dist
import torch.distributed.run
import torch.multiprocessing as mp

import train
from miniclip.common import UserError
from miniclip.data import open_pairs
from miniclip.data.shards import tar_index as index
from miniclip.distributed import process_group
from miniclip.distributed.simulated_ranks import on_ranks
from tests.data.tars import picture, write_tar
from tests.runs import assert_same_weights, at_loss, final


@pytest.mark.parametrize("options", [["--log", "wandb"], ["--out=-a b", "--resume"]])
def test_torchrun_reads_the_command_line_that_is_printed(options, monkeypatch):
    monkeypatch.setattr(process_group, "dist_info", lambda: (0, 2))
    _, *words = shlex.split(process_group.launched("train.py", *options))
    found = torch.distributed.run.parse_args(words)
    assert (found.training_script, found.training_script_args) == ("train.py", options)


def said_by(work):
    try:
        work()
    except UserError as error:
        return str(error)


def run(rank, *more):
    """train.main on this rank: {code, out, err}."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["--model", "vit_mini", "--batch-size", 9, "--threads", 1, "--device", "cpu"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = train.main([str(a) for a in (*arguments, *more)])
        except SystemExit as stop:
            code = stop.code
    return dict(code=code, out=out.getvalue(), err=err.getvalue())


def other_options(rank, folder):
    shard = folder / "pairs.tar"
    return run(rank, "--out", folder / "other", "--data", shard, "--lr", 1e-3 * (1 + rank))


def whole(rank, folder, name="whole", more=("--steps", 8)):
    """Each rank has a folder of its own, as on machines that share none."""
    return run(rank, "--out", folder / name / str(rank), "--data", folder / "pairs.tar", *more)


def interrupted(rank, folder):
    """Stopped by a signal to rank 1 in its third step."""
    with pytest.MonkeyPatch.context() as patch:
        if rank == 1:
            at_loss(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        return whole(rank, folder, "parts")


def resumed(rank, folder):
    return whole(rank, folder, "parts", more=["--resume"])


SCENES = (other_options, whole, interrupted, resumed)


def rank_main(rank, folder, ports):
    real = index.index_shard

    def noted(*args):
        time.sleep(0.5)  # whoever begins to index at the same time would do so, too
        with open(f"{folder}/indexed", "a") as file:
            file.write(str(rank))
        return real(*args)

    index.index_shard = noted
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "MINICLIP_CACHE": f"{folder}/cache"}
    for scene, port in zip(SCENES, ports):
        os.environ["MASTER_PORT"] = str(port)
        torch.save(scene(rank, Path(folder)), f"{folder}/{scene.__name__}-{rank}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two ranks have played all scenes; pairs.tar has 36 pictures, a third of them broken."""
    folder = tmp_path_factory.mktemp("ranks")
    members = []
    for k in range(36):
        data = picture("PNG", (7 * k, 5 * k, 3 * k)) if k % 3 else b"broken"
        members += [(f"{k:02}.png", data), (f"{k:02}.txt", f"number {k}".encode())]
    write_tar(folder / "pairs.tar", members)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SCENES]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    mp.spawn(rank_main, (str(folder), ports), nprocs=2)
    return folder


def both(folder, scene):
    return [torch.load(folder / f"{scene}-{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.mark.slow
def test_ranks_with_other_options_stop_in_one_sentence(folder):
    """Fails where they train, or wait for ever."""
    first, second = both(folder, "other_options")
    assert (first["code"], second["code"], second["err"]) == (2, 2, "")
    assert "--lr is 0.001 on rank 0 and 0.002 on rank 1" in first["err"]
    assert not (folder / "other/checkpoint.pt").exists()


@pytest.mark.slow
def test_ranks_without_a_shared_folder_resume_alike(folder):
    """Fails where each rank reads its own --out: rank 1's is empty, as on another machine."""
    assert [r["code"] for r in both(folder, "whole")] == [0, 0]
    assert [r["code"] for r in both(folder, "interrupted")] == [128 + signal.SIGTERM] * 2
    first, second = both(folder, "resumed")
    assert [first["code"], second["code"]] == [0, 0]
    assert "resumed at step" in first["out"] and second["out"] == ""
    assert [os.listdir(folder / name) for name in ("whole", "parts")] == [["0"], ["0"]]
    assert_same_weights(folder / "whole/0", folder / "parts/0")
    states = [final(folder / name / "0") for name in ("whole", "parts")]
    assert states[0]["optimizer"]["param_groups"] == states[1]["optimizer"]["param_groups"]


@pytest.mark.slow
def test_the_index_of_shards_is_made_once_a_machine(folder):
    """Fails where all ranks of a machine make it at the same time."""
    assert (folder / "indexed").read_text() == "0"


@pytest.mark.parametrize("name", ["whole", "parts"])
@pytest.mark.slow
def test_what_any_rank_skipped_is_counted(name, folder, monkeypatch):
    """Fails where rank 0 counts its own: half of each batch is rank 1's."""
    monkeypatch.setenv("MINICLIP_CACHE", str(folder / "cache"))
    pairs = open_pairs(str(folder / "pairs.tar"))
    per_epoch, seen = len(pairs.splits["train"]) // 9, set()
    for epoch in range(8 // per_epoch + 1):
        visited = pairs.order(pairs.splits["train"], 0, epoch)[
            : 9 * min(per_epoch, 8 - epoch * per_epoch)
        ]
        seen |= {int(i) for i in visited if i % 3 == 0}
    out = folder / name / "0"
    seen |= {i for i in pairs.splits["heldout"] if i % 3 == 0}
    assert final(out)["skipped"].keys() == {pairs.where(i) for i in seen}
    results = json.loads((out / "results.json").read_text())
    assert results["skipped_pictures"] == len(seen) > 4


def test_the_digest_of_the_code_is_of_every_source_file(tmp_path, monkeypatch):
    monkeypatch.setattr(process_group, "ROOT", tmp_path)
    digests = set()
    for name in ("train.py", "miniclip/a.py", "miniclip/data/b.py", "kernels/c.py", "kernels/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with open(tmp_path / name, "a") as file:
            file.write("x = 1\n")
        digests.add(process_group.code_version())
    assert len(digests | {process_group.code_version()}) == 5


# --- ranks as threads


@pytest.fixture
def play(monkeypatch):
    """play(world, work): [work(rank) of each rank], in threads that torch.distributed joins.

    A rank that leaves while another waits is an error. local_ranks: LOCAL_RANK of each.
    """
    mine = threading.local()

    def all_gather_object(out, x, group):
        out[:] = mine.rank.exchange(x)

    def broadcast_object_list(objects, src, group):
        objects[:] = mine.rank.exchange(list(objects))[src]

    largest = {"max": lambda x: mine.rank.largest(x)}
    monkeypatch.setattr(torch_dist, "all_gather_object", all_gather_object)
    monkeypatch.setattr(torch_dist, "broadcast_object_list", broadcast_object_list)
    monkeypatch.setattr(process_group, "all_reduce", lambda x, op: largest[op](x))
    monkeypatch.setattr(process_group, "dist_info", lambda: (mine.rank.rank, mine.rank.world))

    def play(world, work, local_ranks=None):
        def one(rank):
            mine.rank = rank
            result = work(rank.rank)
            assert rank.exchange("the end") == ["the end"] * world, "a rank has left the others"
            return result

        local_rank = {"LOCAL_RANK": lambda: local_ranks[mine.rank.rank] if local_ranks else 0}
        monkeypatch.setattr(
            process_group, "told_by_torchrun", lambda name, otherwise: local_rank[name]()
        )
        return on_ranks([1] * world, one)

    return play


@pytest.mark.parametrize("world", [1, 2, 3])
def test_all_ranks_have_what_each_has_the_maximum_and_what_rank_0_made(play, world):
    calls = []

    def work(rank):
        made = process_group.from_rank0(lambda: calls.append(rank) or {"step": 7})
        largest = process_group.any_rank("cpu", rank, 5 - rank, int(rank == world - 1))
        return process_group.gather({"rank": rank}), largest, made

    gathered = [{"rank": rank} for rank in range(world)]
    assert play(world, work) == [(gathered, (world - 1, 5, 1), {"step": 7})] * world
    assert calls == [0]


@pytest.mark.parametrize(
    "sentences, want",
    [
        ([None, None, None], None),
        ([None, "no such file", None], "on rank 1: no such file"),
        ([None, "no such file", "no room"], "on rank 1: no such file"),
        (["no room", "no room", "no such file"], "on rank 0: no room"),
        (["no room", "no room", "no room"], "no room"),
        (["no room"], "no room"),
    ],
)
def test_all_ranks_raise_the_first_rank_s_sentence(play, sentences, want):
    def work(rank):
        with process_group.together():
            if sentences[rank]:
                raise UserError(sentences[rank])

    said = play(len(sentences), lambda rank: said_by(lambda: work(rank)))
    assert said == [want] * len(sentences)


@pytest.mark.parametrize("local_ranks", [[0, 1, 2], [1, 0, 1, 0], [0], None])
@pytest.mark.parametrize("fails", [False, True])
def test_local_rank_0_of_each_machine_is_first_even_if_it_fails(play, local_ranks, fails):
    order = []

    def enter(local_rank):
        with process_group.local_rank_first():
            time.sleep(0 if local_rank else 0.02)  # whoever does not wait would be first
            order.append(local_rank)
            if fails and local_rank == 0:
                raise UserError("no room")

    ranks = local_ranks or [0]
    said = play(len(ranks), lambda rank: said_by(lambda: enter(ranks[rank])), local_ranks)
    assert [not local_rank for local_rank in order] == sorted([not r for r in ranks], reverse=True)
    assert said == ["no room" if fails and r == 0 else None for r in ranks]


@pytest.mark.parametrize(
    "values, said",
    [
        ([1, 1, 1], None),
        ([1], None),
        ([0, 1, 1], "--lr is 0 on rank 0 and 1 on rank 1"),
        ([0, 0, 2], "--lr is 0 on rank 0 and 2 on rank 2"),
    ],
)
def test_the_first_fact_that_differs_is_named_with_both_values(play, values, said):
    def work(rank):
        facts = {"the code": "same", "--lr": values[rank], "the seed": values[rank]}
        return said_by(lambda: process_group.agree(facts))

    for sentence in play(len(values), work):
        assert sentence == said or sentence == (
            f"all ranks must have the same options, data and code, but {said}"
        )


# --- joining and leaving the group


HOST = ("gloo", 24 * 60)


@pytest.mark.parametrize(
    "name, cards, ranks, local_rank, want, asked",
    [
        ("cuda", 2, 2, 1, "picked cuda:1", [("nccl", 10), HOST, "picked cuda:1"]),
        ("cuda:3", 8, 2, 1, "picked cuda:1", [("nccl", 10), HOST, "picked cuda:1"]),
        ("auto", 1, None, 0, "picked cuda:0", [("nccl", 10), HOST, "picked cuda:0"]),
        ("cpu", 4, 2, 1, "picked cpu", [("gloo", 10), HOST]),
        ("auto", 0, 2, 1, "picked auto", [("gloo", 10), HOST]),
        ("auto", 2, None, None, "picked auto", []),  # not under torchrun
        ("mps", 2, None, None, "picked mps", []),
        ("cuda", 2, 3, 1, "3 ranks are too many", [("gloo", 10), HOST]),
        ("mps", 0, 3, 1, "mps is for one process", [("gloo", 10), HOST]),
    ],
)
def test_each_rank_has_the_gpu_of_its_local_rank_or_says_why_it_has_none(
    name, cards, ranks, local_rank, want, asked, monkeypatch
):
    given = {"LOCAL_WORLD_SIZE": ranks, "LOCAL_RANK": local_rank}
    environ = {key: str(value) for key, value in given.items() if value is not None}
    calls = []

    def joins(backend, timeout):
        calls.append((backend, timeout.total_seconds() / 60))

    monkeypatch.setattr(process_group, "os", SimpleNamespace(environ=environ))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(process_group, "pick_device", lambda name: f"picked {name}")
    # the default group; then that of objects, where ranks wait for an index for hours
    monkeypatch.setattr(torch_dist, "init_process_group", joins)
    monkeypatch.setattr(torch_dist, "new_group", joins)
    try:
        found = process_group.start(name)
    except UserError as error:
        found = str(error)
    assert want in found and calls == asked


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("fails", [False, True])
def test_a_member_leaves_its_group_and_rank_0_says_why(monkeypatch, rank, fails):
    left = []
    monkeypatch.setattr(process_group, "start", lambda name: f"started {name}")
    monkeypatch.setattr(process_group, "dist_info", lambda: (rank, 2))
    monkeypatch.setattr(torch_dist, "is_initialized", lambda: True)
    monkeypatch.setattr(torch_dist, "destroy_process_group", lambda: left.append(1))

    def work():
        with process_group.member("cpu") as device:
            assert device == "started cpu"
            if fails:
                raise UserError("no such file")

    assert said_by(work) == (None if not fails else "" if rank else "no such file")
    assert left == [1]


@pytest.mark.parametrize(
    "said, world, words",
    [
        ("DataLoader worker (pid 7) is killed", 1, "a loading process was killed"),
        ("[gloo/transport] Connection closed by peer", 2, "rank 0 has lost the connection"),
        ("[gloo/transport] Connection closed by peer", 1, None),
        (
            "InvalidCxxCompiler: No working C++ compiler found in",
            1,
            "--compile needs a C.. compiler",
        ),
        (
            "Failed to find C compiler. Please specify via CC",
            1,
            "install one, or leave out --compile",
        ),
        ("mat1 and mat2 cannot be multiplied", 2, None),  # a bug
    ],
)
def test_a_process_that_was_killed_is_said_in_a_sentence(said, world, words, monkeypatch):
    monkeypatch.setattr(process_group, "start", lambda name: name)
    monkeypatch.setattr(process_group, "dist_info", lambda: (0, world))
    with pytest.raises(UserError if words else RuntimeError, match=words or "^[^;]*$"):
        with process_group.member("cpu"):
            raise RuntimeError(said)
