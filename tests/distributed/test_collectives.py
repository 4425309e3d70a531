"""The loss over ranks is the loss of one process: gloo, uneven shards, float64."""

import itertools

import pytest
import torch
import torch.distributed as torch_dist

from miniclip.distributed import collectives
from miniclip.distributed.collectives import GroupCollectives, dist_info, print0
from miniclip.loss import contrastive_loss
from tests.distributed.processes import on_processes
from tests.losses import batch, grads

pytestmark = pytest.mark.numerics

CLOSE = dict(rtol=1e-10, atol=1e-10)  # float64: rounding does 1e-12 at scale 100 (loss_bounds)
SHARDS = {1: [[9]], 2: [[5, 4], [8, 1], [1, 8]], 4: [[1, 2, 3, 3], [6, 1, 1, 1]]}
CASES = [("random", 2.7), ("matched", 4.6), ("opposite", 4.6), ("equal", 4.6), ("zero", 2.7)]


def test_one_process_is_rank_0_of_1(capsys):
    assert dist_info() == (0, 1)
    print0("hello")
    assert capsys.readouterr().out == "hello\n"


@pytest.mark.parametrize("backend", ["nccl", "gloo"])
@pytest.mark.parametrize("counts", [[2, 2, 2], [3, 1, 2]])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_rank_gets_its_own_rows_of_the_sum_from_nccl_too(rank, counts, backend, monkeypatch):
    """The other two ranks hold 1 and 2 times x. nccl wants equal parts, all in one tensor."""
    x = torch.arange(12.0).view(6, 2) + 1

    def reduce_scatter_tensor(mine, padded, group):
        assert padded.shape == (3 * max(counts), 2)
        mine.copy_(padded.chunk(3)[rank] * 4)

    def no_such_collective(*_, **__):
        raise RuntimeError("not in this backend")

    other = no_such_collective if backend == "gloo" else reduce_scatter_tensor
    monkeypatch.setattr(collectives, "dist_info", lambda group=None: (rank, 3))
    monkeypatch.setattr(torch_dist, "get_backend", lambda group: backend)
    monkeypatch.setattr(torch_dist, "reduce_scatter_tensor", other)
    monkeypatch.setattr(torch_dist, "all_reduce", lambda x, op, group: x.mul_(4))
    got = GroupCollectives(counts).scatter(x)
    assert torch.equal(got, 4 * x.split(counts)[rank])
    assert torch.equal(x, torch.arange(12.0).view(6, 2) + 1)  # as it was


def losses_of(rank):
    """{world: its results} of one of four ranks: of its shard of every case, alone, as one of two and
    as one of four."""
    groups, results = {1: torch_dist.new_group([0]), 2: torch_dist.new_group([0, 1]), 4: None}, {}
    for world, group in groups.items():
        if rank >= world:
            continue
        results[world] = result = {"said": [], "info": dist_info(group)}
        for counts, (kind, logit_scale) in itertools.product(SHARDS[world], CASES):
            mine = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
            pairs = (x[mine] for x in batch(9, 6, kind))
            got = grads(contrastive_loss, *pairs, logit_scale, group=group)
            result[tuple(counts), kind] = got
        last = rank == world - 1
        # no pairs; another width; another dtype, as on a rank where "auto" finds no compiler for Triton
        for n, e, dtype in [(0, 4, torch.float32), (3, 5, torch.float32), (3, 4, torch.float64)]:
            features = torch.zeros(n, e, dtype=dtype) if last else torch.zeros(3, 4)
            try:
                contrastive_loss(features, features, torch.tensor(1.0), group=group)
            except ValueError as error:
                result["said"].append(str(error))
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """{world: the results of each rank}, from four processes that are started once."""
    results = on_processes(4, losses_of, tmp_path_factory.mktemp("ranks"))
    return {world: [result[world] for result in results[:world]] for world in SHARDS}


@pytest.mark.parametrize("kind, logit_scale", CASES)
def test_uneven_shards_give_what_one_process_gives(ranks, kind, logit_scale):
    value, d_image, d_text, d_scale = grads(contrastive_loss, *batch(9, 6, kind), logit_scale)
    for counts in itertools.chain(*SHARDS.values()):
        world, why = len(counts), f"{kind} in shards of {counts}"
        got = [result[tuple(counts), kind] for result in ranks[world]]
        values, d_images, d_texts, d_scales = zip(*got)
        for v, s in zip(values, d_scales):  # the global mean and its derivative, on every rank
            torch.testing.assert_close((v, s), (value, d_scale), **CLOSE, msg=why)
        # as DDP averages the gradients of parameters
        mine = torch.cat(d_images) / world, torch.cat(d_texts) / world
        torch.testing.assert_close(mine, (d_image, d_text), **CLOSE, msg=why)


def test_every_rank_knows_its_number_and_raises_when_one_of_them_must(ranks):
    for world, results in ranks.items():
        assert [result["info"] for result in results] == [(r, world) for r in range(world)]
        for rank, result in enumerate(results):
            empty, *others = result["said"]  # one rank alone does as all do
            assert ("at least one pair" if rank == world - 1 else f"rank {world - 1}") in empty
            words = ["the same E", "torch in fp32, torch in fp64"] if world > 1 else []
            assert all(word in said for word, said in zip(words, others, strict=True))
