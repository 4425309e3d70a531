"""Pairs to batches: order, crops and captions depend on (seed, epoch, index), and on nothing else."""

import collections
import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from miniclip.data import BadPicture, Pairs
from miniclip.data.loader import (
    AHEAD,
    batches,
    crop,
    default_workers,
    epoch_order,
    join,
    planned_parts,
    with_unique_names,
)
from tests.data.tars import letters, noise, read_epoch, same, steps, texts_of
from tests.shared import must_refuse

SIZE, SCALE = 8, (0.6, 1.0)
seeds = st.integers(0, 2**32)


class Noise(Pairs):
    """Pictures of noise, some of them broken; counts how many it was asked for."""

    def __init__(self, count=23, broken=(), deadly=()):
        captions = [(f"picture {i}", f"an image {i}", f"{i}") for i in range(count)]
        super().__init__("noise", captions, {"train": list(range(count))})
        self.broken, self.deadly, self.read = broken, deadly, 0

    def image(self, i):
        self.read += 1
        if i in self.broken:
            raise BadPicture("damaged")
        if i in self.deadly:
            os._exit(3)
        return noise(15, 12, i)


# --- the order of an epoch


@given(seeds, st.integers(0, 1000), st.integers(1, 30))
def test_an_epoch_is_a_permutation_without_an_incomplete_batch(seed, number, batch_size):
    for names in (None, lambda i: (str(i // 3),)):
        order = epoch_order(range(100, 123), batch_size, seed, number, names=names)
        indices = order.ravel().tolist()
        assert len(set(indices)) == len(indices) and set(indices) <= set(range(100, 123))
        assert len(indices) == (23 // batch_size * batch_size or 23)  # a small split is one batch
        again, *others = (
            epoch_order(range(100, 123), batch_size, *when, names=names).tolist()
            for when in ((seed, number), (seed + 1, number), (seed, number + 1))
        )
        assert again == order.tolist()
        assert names or order.tolist() not in others


LETTERS = st.frozensets(st.sampled_from("abcdefghijkl"), min_size=1, max_size=2)


@given(st.lists(LETTERS, min_size=1, max_size=40), st.integers(1, 12), seeds)
def test_no_name_comes_twice_in_a_batch_where_there_is_room(own, size, seed):
    """A picture finds a batch as long as those that are full and those that have one of its names
    are fewer than all; frequent names come first."""
    size = min(size, len(own))
    frequency = collections.Counter(name for names in own for name in names)
    count, order = len(own) // size, sorted(own, key=lambda n: -max(frequency[x] for x in n))
    room = all(
        place // size + sum(frequency[name] - 1 for name in names) < count
        for place, names in enumerate(order[: count * size])
    )
    pictures = np.arange(100, 100 + len(own))
    rng = np.random.default_rng(seed)
    found = with_unique_names(pictures, size, lambda i: tuple(own[i - 100]), rng)
    assert found.shape == (count, size) and found.dtype == np.int64
    assert len({*found.ravel()}) == count * size and np.isin(found, pictures).all()
    for batch in found.tolist():
        names = [name for i in batch for name in own[i - 100]]
        assert not room or len(names) == len({*names}), found


@given(st.integers(0, 999))
def test_a_frequent_name_finds_its_batches_before_rare_ones_fill_them(seed):
    own = [("cat",), ("cat",), ("dog",), ("fox",)]
    found = with_unique_names(np.arange(4), 2, own.__getitem__, np.random.default_rng(seed))
    assert {0, 1} not in [{*batch} for batch in found.tolist()]


def test_a_picture_may_occur_twice_in_an_epoch_and_its_two_places_are_in_different_batches():
    found = epoch_order([0, 0, 1, 2], 2, 0, 0, names=str).tolist()
    assert sorted(sum(found, [])) == [0, 0, 1, 2] and [0, 0] not in found


def test_pictures_meet_others_in_each_epoch():
    """Else the negatives of a picture would always be the same ones."""
    met = collections.Counter()
    for epoch in range(300):
        for batch in epoch_order(range(12), 4, 0, epoch, names=lambda i: (str(i),)).tolist():
            met.update((a, b) for a in batch for b in batch if a < b)
    # 66 pairs, each together in 3 of 11 epochs by chance: 82, deviation 7.7; 5 deviations
    assert len(met) == 66 and all(abs(n - 900 / 11) < 39 for n in met.values()), met


@pytest.mark.parametrize("unique_names", [True, False])
def test_the_loader_has_no_name_twice_in_a_batch_if_asked(unique_names):
    pairs = Noise(60)
    pairs.names = lambda i: (str(i // 2),)
    for parts, _ in steps(pairs, 2, 30, unique_names=unique_names):
        numbers = [int(text.split()[-1]) for text in texts_of(join(parts)[1])]
        assert (len({i // 2 for i in numbers}) == 30) == unique_names, numbers


# --- samples, parts and ranks


@given(st.integers(0, 5), st.integers(1, 12), st.integers(0, 99))
def test_a_sample_does_not_depend_on_the_batch_it_is_in(number, batch_size, seed):
    alone = read_epoch(Noise(), 1, seed, number)
    together = read_epoch(Noise(), batch_size, seed, number)
    captions = sum((said for _, said, _ in together), [])
    assert captions == sum((said for _, said, _ in alone[: len(captions)]), [])
    images = torch.cat([images for images, _, _ in together])
    assert torch.equal(images, torch.cat([own for own, _, _ in alone[: len(captions)]]))


@given(
    st.integers(1, 23), st.integers(1, 9), st.integers(1, 5), st.sets(st.integers(0, 22)), st.booleans()
)  # fmt: skip
def test_the_ranks_parts_joined_are_the_batch_of_one_process(size, unit, world, broken, micro):
    pairs, world = Noise(broken=broken), min(world, size)
    ((whole, skipped),) = steps(pairs, 1, size)
    ranks = [
        steps(pairs, 1, size, micro_batch=unit if micro else None, rank=rank, world=world)[0]
        for rank in range(world)
    ]
    images, tokens = join(sum((parts for parts, _ in ranks), []))
    assert torch.equal(images, whole[0][0]) and torch.equal(tokens, whole[0][1])
    assert sum((bad for _, bad in ranks), []) == skipped
    shares = [sum(len(x) for x, _ in parts) + len(bad) for parts, bad in ranks]
    assert max(shares) - min(shares) <= 1, shares
    assert len({len(parts) for parts, _ in ranks}) == 1
    for images, tokens in sum((parts for parts, _ in ranks), []):
        assert images.dtype == torch.uint8 and images.is_contiguous()
        assert broken or torch.equal(tokens, letters(texts_of(tokens), trim=True)), "too long"
    for parts, _ in ranks:
        sizes = [len(images) for images, _ in parts]
        assert min(sizes) >= 1 or sum(sizes) < len(sizes), sizes  # spread where pictures broke


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 9))
@example(3, 1, 2)
@example(8, 3, 1)
def test_every_rank_has_the_same_number_of_parts_and_none_is_empty_or_too_large(n, unit, world):
    world = min(world, n)
    count = planned_parts(n, unit, world)
    shares = np.array_split(np.arange(n), world)
    parts = [len(part) for share in shares for part in np.array_split(share, count)]
    assert min(parts) >= 1, parts
    # shares of 1 and 2 pairs in parts of 1: two parts would leave one rank with an empty one
    assert max(parts) <= unit or unit == 1 and max(parts) == 2, parts


@pytest.mark.parametrize(
    "train, how, words",
    [
        ([], {}, "no pairs"),
        (range(3), dict(rank=3, world=4), "3 pairs cannot be shared by 4"),
        *(
            (indices, {}, "numbers of pairs, from 0 to 2")
            for indices in ([True, False, True], [0.5, 1.5], [-1], [0, 3], [[0, 1]])
        ),
        *(
            (range(3), dict(scale=scale), r"\(low, high\) with 0 < low <= high <= 1")
            for scale in ((0.5, 2), (0, 0), (0.9, 0.8), (), (0.5,))
        ),
        *((range(3), {name: -1}, "at least 0") for name in ("seed", "start", "workers")),
        *((range(3), {name: 0}, "at least 1") for name in ("size", "micro_batch", "world")),
        (range(3), dict(rank=1), "rank must be from 0 to 0, not 1"),
        (range(3), dict(batch_size=2.5), "batch_size must be of type int, not float"),
        *(
            (range(3), dict(tokenizer=lambda texts, trim, ids=ids: ids), "tokenizer must return an")
            for ids in ({"input_ids": [[1]]}, torch.ones(1, 5).long(), torch.ones(2, 5))
        ),
    ],
)
def test_pairs_that_are_too_few_and_arguments_out_of_their_range_are_refused(train, how, words):
    pairs = Noise(3)
    pairs.splits["train"] = train
    must_refuse(words, steps, pairs, 1, **dict(batch_size=8) | how)


def test_a_process_of_a_pool_which_can_start_no_others_is_told_so(monkeypatch):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    must_refuse("give workers=0", steps, Noise(3), 1, batch_size=3, workers=1)


@pytest.mark.parametrize("kind", [set, dict.fromkeys, iter, np.array, torch.tensor])
def test_indices_may_be_anything_that_can_be_iterated_over(kind):
    want, pairs = steps(Noise(), 2), Noise()
    pairs.splits["train"] = kind([*range(23)])
    assert same(steps(pairs, 2), want)


# --- where a run goes on


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 3, 5, 11])
def test_a_run_goes_on_at_any_batch_across_epochs_with_any_number_of_workers(start, workers):
    pairs, state = Noise(broken=(5, 6)), torch.get_rng_state()
    whole = steps(pairs, 17, micro_batch=2)
    pairs.read = 0
    again = steps(pairs, 17 - start, start=start, micro_batch=2, workers=workers)
    assert same(again, whole[start:])
    assert pairs.read == (0 if workers else 4 * (17 - start)), "what comes before is not read"
    assert torch.equal(state, torch.get_rng_state()), "torch's generator has been drawn from"


# --- workers


def test_a_workers_death_is_an_error():
    with pytest.raises(RuntimeError, match="worker"):
        steps(Noise(deadly=range(23)), 1, workers=1)


LEFT = """
import os
from pathlib import Path
from miniclip.data.loader import batches
from tests.data.tars import Coloured, letters
pairs = Coloured(64)
pairs.captions = lambda i: ('long ' * 400,)  # more than a pipe holds
next(loaded := batches(pairs, range(64), letters, 64, 0, 4, (1, 1), workers=2))
print(Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text(), flush=True)
if {killed}:
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [True, False])
def test_workers_end_when_the_process_that_they_load_for_is_killed_or_ends(killed, tmp_path):
    told = tmp_path / "told"  # a file: workers that go on would keep a pipe open
    with open(told, "w") as out:
        root, script = str(Path(__file__).parents[2]), LEFT.replace("{killed}", str(killed))
        subprocess.run([sys.executable, "-c", script], stdout=out, stderr=out, cwd=root, timeout=60,
                       env=os.environ | {"PYTHONPATH": root})  # fmt: skip
    workers = [Path(f"/proc/{pid}") for pid in told.read_text().split()]
    assert len(workers) == 2, told.read_text()
    deadline = time.monotonic() + 30
    while any(worker.exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [int(worker.name) for worker in workers if worker.exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "workers go on after the process that they load for"


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_lie_in_the_same_memory_and_stay_as_they_are_while_workers_load_ahead(workers):
    class Told(Noise):
        """Counts what is read in all processes."""

        count = torch.zeros(1, dtype=torch.int64).share_memory_()

        def image(self, i):
            self.count.add_(1)
            return super().image(i)

    pairs, places = Told(), set()
    want = steps(Noise(), 12, micro_batch=1)
    with contextlib.closing(
        batches(pairs, range(23), letters, 4, 0, SIZE, SCALE, micro_batch=1, workers=workers)
    ) as loaded:
        for k, (parts, _) in enumerate(itertools.islice(loaded, 12)):
            ahead, deadline = 4 * (k + 1) + workers * AHEAD, time.monotonic() + 20
            while pairs.count.item() < ahead - workers and time.monotonic() < deadline:
                time.sleep(0.001)  # until they have read nearly all that they may
            for (images, _), (wanted, _) in zip(parts, want[k][0]):
                assert torch.equal(images, wanted), f"batch {k} has changed"
                places.add(images.data_ptr())
    assert len(places) == 4 + workers * AHEAD


@pytest.mark.parametrize(
    "device, cores, ranks, want",
    [
        ("cpu", 64, 1, 0),
        ("cuda", 64, 8, 7),
        ("cuda", 2, 1, 1),
        ("cuda", 1, 1, 1),
        ("cuda", 8, 8, 1),
        ("cuda", 224, None, 16),
    ],
)
def test_a_rank_on_a_gpu_gets_its_share_of_the_cores(device, cores, ranks, want, monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if ranks:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    own = {0: range(cores)}  # 0: this process
    monkeypatch.setattr(os, "sched_getaffinity", own.__getitem__, raising=False)
    assert default_workers(device) == want
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_workers(device) == want


# --- memory


def test_what_is_asked_to_be_pinned_is_registered_as_it_lies_and_let_go(monkeypatch):
    cuda = mock.Mock()
    monkeypatch.setattr(torch.cuda, "cudart", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "check_error", lambda result: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: cuda.pinned(t.dtype) or t)
    loaded = batches(Noise(), range(23), letters, 4, 0, SIZE, SCALE, pin_memory=True)
    place = next(loaded).parts[0][0].data_ptr()
    loaded.close()
    assert cuda.mock_calls[:1] == [mock.call.cudaHostRegister(place, 4 * 3 * SIZE * SIZE, 0)]
    assert cuda.mock_calls[1:] == [
        mock.call.pinned(torch.int64),
        mock.call.cudaHostUnregister(place),
    ]


def test_a_picture_is_asked_for_at_twice_the_size_of_the_smallest_crop():
    class Asked(Noise):
        def load_downscaled(self, i, side):
            sides.append(side)
            return self.image(i)

    sides = []
    for scale in ((0.5, 1), (0.3, 1), (1, 1), None):
        crop(Asked(), 0, np.random.default_rng(0), 12, scale)
    assert sides == [48, 80, 24, None]  # 2 * 12 / 0.5 pixels
