"""Batches are a function of (seed, epoch, index): nothing else can change what is learned."""

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from miniclip.benchmarks import loader
from miniclip.bpe import Tokenizer
from miniclip.data import loader as batches_module
from miniclip.data.dataset import BadPicture, Pairs
from miniclip.data.loader import (
    batches,
    crop,
    default_workers,
    epoch_order,
    join,
    planned_parts,
)
from tests.data.tars import letters, load_sample, read_epoch, texts_of

SIZE, SCALE = 8, (0.6, 1.0)


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
        pixels = np.random.default_rng(i).integers(0, 256, (12, 15, 3)).astype(np.uint8)
        return Image.fromarray(pixels)


def epoch(pairs, batch_size=4, seed=0, number=0, **how):
    return read_epoch(pairs, pairs.splits["train"], batch_size, seed, number, SIZE, SCALE, **how)


def steps(pairs, count, batch_size=4, start=0, **how):
    """The first batches of a run from `start` on, each [(images, tokens)] and skipped, copied."""
    indices = pairs.splits["train"]
    with contextlib.closing(
        batches(pairs, indices, letters, batch_size, 0, SIZE, SCALE, start=start, **how)
    ) as loaded:
        return [
            ([(images.clone(), tokens) for images, tokens in parts], skipped)
            for parts, skipped in itertools.islice(loaded, count)
        ]


def same(left, right):
    return len(left) == len(right) and all(
        torch.equal(a[0], b[0]) and a[1:] == b[1:] for a, b in zip(left, right)
    )


def same_steps(left, right):
    return len(left) == len(right) and all(
        bad == worse
        and len(parts) == len(others)
        and all(torch.equal(a, b) for p, q in zip(parts, others) for a, b in zip(p, q))
        for (parts, bad), (others, worse) in zip(left, right)
    )


@given(st.integers(0, 2**40), st.integers(0, 1000), st.integers(1, 30))
def test_an_epoch_is_a_permutation_without_an_incomplete_batch(seed, number, batch_size):
    order = epoch_order(range(100, 123), batch_size, seed, number)
    indices = np.asarray(order).ravel().tolist()
    assert len(set(indices)) == len(indices) and set(indices) <= set(range(100, 123))
    assert len(indices) == (23 // batch_size * batch_size or 23)  # a small split is one batch


def test_epochs_and_seeds_differ_and_the_same_is_the_same():
    pairs = Noise()
    assert same(epoch(pairs), epoch(pairs))
    for seed, number in ((1, 0), (0, 1)):
        other = epoch(pairs, seed=seed, number=number)
        assert not torch.equal(
            torch.cat([b[0] for b in other]), torch.cat([b[0] for b in epoch(pairs)])
        )


def test_images_are_contiguous_bytes_with_one_caption_each():
    for parts, skipped in steps(Noise(), 5, micro_batch=3):
        assert [len(images) for images, _ in parts] == [2, 2] and skipped == []
        for images, tokens in parts:
            assert images.shape == (2, 3, SIZE, SIZE) and images.dtype == torch.uint8
            assert images.is_contiguous() and images.double().std() > 20
            assert len(tokens) == 2 and tokens.dtype == torch.int64


@given(st.integers(0, 5), st.integers(1, 12), st.integers(0, 99))
def test_a_sample_does_not_depend_on_the_batch_it_is_in(number, batch_size, seed):
    pairs = Noise()
    alone = {}
    for i in range(len(pairs)):
        image, caption = load_sample(pairs, i, seed, number, SIZE, SCALE)
        alone[caption.split()[-1]] = image, caption
    for images, captions, _ in epoch(pairs, batch_size, seed, number):
        for image, caption in zip(images, captions):
            assert torch.equal(image, alone[caption.split()[-1]][0])
            assert caption == alone[caption.split()[-1]][1]


# parts


@given(st.integers(1, 23), st.integers(1, 9), st.integers(1, 5))
def test_the_parts_joined_are_the_batch_that_is_not_in_parts(batch_size, micro_batch, world):
    pairs, world = Noise(), min(world, batch_size)
    (whole,) = steps(pairs, 1, batch_size)
    ranks = [
        steps(pairs, 1, batch_size, micro_batch=micro_batch, rank=rank, world=world)[0][0]
        for rank in range(world)
    ]
    images, tokens = join(sum(ranks, []))
    assert torch.equal(images, whole[0][0][0]) and torch.equal(tokens, whole[0][0][1])
    assert torch.equal(tokens, letters(texts_of(tokens), trim=True))


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


def test_each_part_has_the_tokens_of_its_own_longest_caption():
    for parts, _ in steps(Noise(), 5, micro_batch=1):
        assert all(len(texts_of(t)[0]) == t.shape[1] for _, t in parts)
        assert join(parts)[1].shape[1] == max(t.shape[1] for _, t in parts)


@given(st.sets(st.integers(0, 22)), st.integers(1, 23))
def test_what_broken_pictures_leave_is_spread_over_as_many_parts(broken, micro_batch):
    pairs = Noise(broken=broken)
    ((parts, skipped),) = steps(pairs, 1, 23, micro_batch=micro_batch)
    sizes = [len(images) for images, _ in parts]
    assert len(parts) == -(-23 // micro_batch) and sum(sizes) == 23 - len(broken)
    assert min(sizes) >= 1 or sum(sizes) < len(parts), sizes
    assert sorted(skipped) == sorted((f"picture {i}", "damaged") for i in broken)
    ((whole, _),) = steps(pairs, 1, 23)
    assert all(torch.equal(a, b) for a, b in zip(join(parts), join(whole)))


def test_no_pairs_are_an_error():
    with pytest.raises(ValueError, match="no pairs"):
        next(batches(Noise(), [], letters, 4, 0, SIZE, SCALE))


# where a run goes on


@given(st.integers(0, 7), st.integers(0, 99))
def test_start_is_the_same_as_skipping_but_reads_nothing(start, seed):
    pairs = Noise()
    whole = epoch(pairs, 3, seed)
    pairs.read = 0
    assert same(epoch(pairs, 3, seed, start=start), whole[start:])
    assert pairs.read == 3 * (7 - start)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 3, 5, 11])
def test_a_run_goes_on_at_any_batch_across_epochs_with_any_number_of_workers(start, workers):
    pairs = Noise(broken=(5, 6))
    whole = steps(pairs, 17, micro_batch=2)
    assert same_steps(
        steps(pairs, 17 - start, start=start, micro_batch=2, workers=workers), whole[start:]
    )


def test_workers_leave_torchs_generator_alone():
    torch.manual_seed(7)
    state = torch.get_rng_state()
    assert len(epoch(Noise(), workers=2)) == 5
    assert torch.equal(state, torch.get_rng_state())


# workers


def test_the_same_processes_load_all_epochs():
    class Telling(Noise):
        def image(self, i):
            return Image.new("RGB", (12, 12), (*(os.getpid() % 2**16).to_bytes(2, "big"), 0))

    found = [
        tuple(image[:2, 0, 0].tolist())
        for parts, _ in steps(Telling(), 40, workers=2)
        for images, _ in parts
        for image in images
    ]
    assert len(set(found)) == 2 and os.getpid() not in found
    assert set(found[:8]) == set(found[-8:])


def test_a_workers_death_is_an_error():
    with pytest.raises(RuntimeError, match="worker"):
        epoch(Noise(deadly=range(23)), workers=1)


@pytest.mark.slow
def test_workers_end_when_the_process_that_they_load_for_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from miniclip.data.loader import batches\n"
        "from tests.data.tars import Coloured, letters\n"
        "pairs = Coloured(64)\n"
        "pairs.captions = lambda i: ('long ' * 400,)  # more than a pipe holds\n"
        "next(loaded := batches(pairs, range(64), letters, 64, 0, 4, (1, 1), workers=2))\n"
        "print(Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    told = tmp_path / "told"  # a file: workers that go on would keep a pipe open
    with open(told, "w") as out:
        subprocess.run([sys.executable, script], stdout=out, stderr=out, cwd=root, timeout=60,
                       env=os.environ | {"PYTHONPATH": str(root)})  # fmt: skip
    workers = [Path(f"/proc/{pid}") for pid in told.read_text().split()]
    assert len(workers) == 2, told.read_text()
    deadline = time.monotonic() + 30
    while any(worker.exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [int(worker.name) for worker in workers if worker.exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "workers go on after the process that they load for is killed"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_batch_stays_as_it_is_while_workers_load_ahead(workers):
    class Told(Noise):
        """Counts what is read in all processes."""

        count = torch.zeros(1, dtype=torch.int64).share_memory_()

        def image(self, i):
            self.count.add_(1)
            return super().image(i)

    pairs = Told()
    want = steps(Noise(), 12, micro_batch=1)
    with contextlib.closing(
        batches(pairs, range(23), letters, 4, 0, SIZE, SCALE, micro_batch=1, workers=workers)
    ) as loaded:
        for k, (parts, _) in enumerate(itertools.islice(loaded, 12)):
            ahead, deadline = 4 * (k + 1) + workers * batches_module.AHEAD, time.monotonic() + 20
            while pairs.count.item() < ahead - workers and time.monotonic() < deadline:
                time.sleep(0.001)  # until they have read nearly all that they may
            for (images, _), (wanted, _) in zip(parts, want[k][0]):
                assert torch.equal(images, wanted), f"batch {k} has changed"


def test_all_batches_lie_in_the_same_memory():
    loaded = batches(Noise(), range(23), letters, 4, 0, SIZE, SCALE, micro_batch=2)
    places = [[i.data_ptr() for i, _ in parts] for parts, _ in itertools.islice(loaded, 7)]
    assert places == [places[0]] * 7


def test_a_tokenizer_goes_to_the_workers_as_it_is():
    tokenizer = Tokenizer.train(["a picture of an image"] * 3, 530)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert torch.equal(copy(["an image 3"], trim=True), tokenizer(["an image 3"], trim=True))
    pairs = Noise()
    with contextlib.closing(
        batches(pairs, range(23), tokenizer, 23, 0, SIZE, SCALE, workers=1)
    ) as loaded:
        ((_, tokens),) = next(loaded).parts
    _, captions, _ = epoch(pairs, 23)[0]
    assert torch.equal(tokens, tokenizer(captions, trim=True))


@pytest.mark.parametrize(
    "device, cores, ranks, want",
    [
        ("cpu", 64, 1, 0),
        ("cuda", 64, 8, 7),
        ("cuda", 2, 1, 1),
        ("cuda", 1, 1, 1),
        ("cuda", 8, 8, 1),
        ("cuda", 4, 8, 1),
        ("cuda", 224, 1, 16),
    ],
)
def test_a_rank_on_a_gpu_gets_its_share_of_the_cores(device, cores, ranks, want, monkeypatch):
    own = {0: range(cores)}  # 0: this process
    monkeypatch.setattr(os, "sched_getaffinity", own.__getitem__, raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    assert default_workers(device) == want
    if ranks == 1:
        monkeypatch.delenv("LOCAL_WORLD_SIZE")  # a process by itself
        assert default_workers(device) == want
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_workers(device) == want


# memory


def test_what_is_asked_to_be_pinned_is_registered_as_it_lies_and_let_go(monkeypatch):
    calls = []

    class Cudart:
        def cudaHostRegister(self, place, size, flags):
            calls.append(("register", place, size, flags))

        def cudaHostUnregister(self, place):
            calls.append(("unregister", place))

    monkeypatch.setattr(torch.cuda, "cudart", Cudart)
    monkeypatch.setattr(torch.cuda, "check_error", lambda result: None)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: calls.append(t.dtype) or t)
    loaded = batches(Noise(), range(23), letters, 4, 0, SIZE, SCALE, pin_memory=True)
    place = next(loaded).parts[0][0].data_ptr()
    loaded.close()
    bytes_ = 4 * 3 * SIZE * SIZE
    assert calls == [("register", place, bytes_, 0), torch.int64, ("unregister", place)]


@pytest.mark.parametrize(
    "batch_size, world, micro_batch, pairs",
    [(10, 3, 2, 2 * 2), (10, 3, 3, 2 * 2), (7, 1, 3, 3 * 3), (9, 9, 4, 1), (8, 1, None, 8)],
)
def test_memory_is_for_the_parts_of_the_largest_share(
    batch_size, world, micro_batch, pairs, monkeypatch
):
    taken, memory = [], batches_module._memory
    monkeypatch.setattr(
        batches_module,
        "_memory",
        lambda shape, shared: taken.append((*shape, shared)) or memory(shape, shared),
    )
    for rank in range(world):
        steps(Noise(), 1, batch_size, micro_batch=micro_batch, rank=rank, world=world)
    assert [shape[0] * shape[1] for shape in taken] == [pairs] * world
    assert {shape[2:] for shape in taken} == {(3, SIZE, SIZE, False)}  # and not shared


def test_a_picture_is_asked_for_at_twice_the_size_of_the_smallest_crop():
    class Asked(Noise):
        def load_downscaled(self, i, side):
            sides.append(side)
            return self.image(i)

    sides = []
    for scale in ((0.5, 1), (0.3, 1), (1, 1), None):
        crop(Asked(), 0, np.random.default_rng(0), 12, scale)
    assert sides == [48, 80, 24, None]  # 2 * 12 / 0.5 pixels


@pytest.mark.parametrize("fork", [True, False])
def test_workers_share_memory_with_the_process_that_reads_it(fork, monkeypatch):
    monkeypatch.setattr(batches_module, "_FORK", fork)
    mapped = []
    monkeypatch.setattr(batches_module.mmap, "mmap", lambda *a: mapped.append(a) or bytearray(a[1]))
    memory = batches_module._memory((2, 5), shared=True)
    assert memory.shape == (2, 5) and memory.dtype == torch.uint8
    assert mapped == ([(-1, 10)] if fork else []) and memory.is_shared() != fork


@pytest.mark.slow
def test_memory_beyond_the_batch_does_not_grow_with_it_and_stays_below_a_gibibyte(tmp_path):
    """What a batch of 32,768 may take at 224 pixels, on batches that a test has time for."""
    loader.make_shards(tmp_path, 64, (24, 32))
    beyond = {}
    for batch_size in (2048, 4096):
        _, most, own = loader.memory(tmp_path, 224, batch_size, workers=2)
        assert own == batch_size * 3 * 224 * 224
        beyond[batch_size] = most - own
    assert max(beyond.values()) < 2**30, beyond
    assert beyond[4096] - beyond[2048] < 32 << 20, beyond  # a tenth of what the batch grew by
