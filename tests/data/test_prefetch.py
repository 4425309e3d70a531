"""Copying ahead: on a GPU the next part is on its way before the present one is computed.

No GPU is needed: the streams, the events and the tensors only write down what is asked of them.
"""

import contextlib
import types

import pytest
import torch

from miniclip.data import prefetch
from miniclip.data.loader import Batch
from miniclip.data.prefetch import PartsAhead, batches_ahead
from miniclip.data.transforms import normalize

CPU, GPU = torch.device("cpu"), types.SimpleNamespace(type="cuda")


class Side:
    """A tensor by name."""

    def __init__(self, log, name, device=CPU):
        self.log, self.name, self.device = log, name, device

    def to(self, device, non_blocking):
        assert non_blocking and self.log.on == "side"
        self.log.append(f"copy {self.name}")
        return Side(self.log, self.name, device)

    def record_stream(self, stream):
        assert stream.name == "main" and self.device is GPU
        self.log.append(f"keep {self.name}")


class Log(list):
    """The calls, in order."""

    on = "main"  # the current stream

    def stream(self, name):
        def record_event():
            number = sum(line.startswith("event") for line in self)
            self.append(f"event {number}")
            return types.SimpleNamespace(
                number=number, synchronize=lambda: self.append(f"host waits {number}")
            )

        def wait_event(event):
            self.append(f"{name} waits {event.number}")

        return types.SimpleNamespace(name=name, record_event=record_event, wait_event=wait_event)

    @contextlib.contextmanager
    def use(self, stream):
        self.on = stream.name
        yield
        self.on = "main"


@pytest.fixture
def log(monkeypatch):
    log = Log()
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: log.stream("side"))
    monkeypatch.setattr(torch.cuda, "stream", log.use)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: log.stream("main"))
    monkeypatch.setattr(prefetch, "normalize", lambda images: images)
    return log


def part(log, name):
    return Side(log, f"{name}'s images"), Side(log, f"{name}'s tokens")


def test_on_a_gpu_a_part_is_copied_while_the_one_before_it_is_computed(log):
    parts = [part(log, name) for name in "abc"]
    prepare = PartsAhead(parts, GPU)
    for _ in range(2):  # GradCache's two passes
        for own in parts:
            images, tokens = prepare(own)
            assert (images.name, tokens.name) == tuple(side.name for side in own)
            assert images.device is tokens.device is GPU
            log.append(f"compute {images.name[0]}")
    short = [line for line in log if "tokens" not in line and not line.startswith("event")]
    round_trip = []
    for event, (name, after) in enumerate(("ab", "bc", "ca")):
        round_trip += [
            f"main waits {event}",
            f"keep {name}'s images",
            f"copy {after}'s images",
            f"compute {name}",
        ]
    second = [
        line.replace(f"waits {k}", f"waits {k + 3}")
        for k in range(3)
        for line in round_trip[4 * k : 4 * k + 4]
    ]
    assert short == ["copy a's images", *round_trip, *second]


def test_parts_in_another_order_are_those_that_were_asked_for(log):
    parts = [part(log, name) for name in "abc"]
    prepare = PartsAhead(parts, GPU)
    assert [prepare(parts[k])[0].name[0] for k in (0, 2, 2, 1)] == ["a", "c", "c", "b"]


def test_on_a_gpu_a_batch_is_copied_before_the_one_before_it_is_handed_out(log):
    def batches():
        for name in "abc":
            log.append(f"load {name}")
            yield Batch([part(log, name)], [(name, "damaged")])

    for (((images, tokens),), skipped), name in zip(batches_ahead(batches(), GPU), "abc"):
        assert (images.name, skipped) == (f"{name}'s images", [(name, "damaged")])
        assert images.device is tokens.device is GPU
        log.append(f"compute {name}")
    short = [line for line in log if "tokens" not in line and not line.startswith("event")]
    # the host waits for a copy before the loader may write over what is copied
    assert short == [
        "load a",
        "copy a's images",
        "host waits 0",
        "load b",
        "copy b's images",
        "main waits 0",
        "keep a's images",
        "compute a",
        "host waits 1",
        "load c",
        "copy c's images",
        "main waits 1",
        "keep b's images",
        "compute b",
        "host waits 2",
        "main waits 2",
        "keep c's images",
        "compute c",
    ]


def test_on_a_cpu_nothing_is_loaded_before_it_is_asked_for():
    loaded = []
    batches = (loaded.append(k) or Batch([], [k]) for k in range(3))
    for k, (_, skipped) in enumerate(batches_ahead(batches, CPU)):
        assert loaded == [*range(k + 1)] and skipped == [k]


def test_on_a_cpu_parts_are_normalized_and_nothing_else():
    parts = [(torch.full((2, 3, 4, 4), k, dtype=torch.uint8), torch.tensor([[k]])) for k in (7, 9)]
    prepare = PartsAhead(parts, CPU)
    for images, tokens in parts:
        got, same = prepare((images, tokens))
        assert torch.equal(got, normalize(images)) and same is tokens
