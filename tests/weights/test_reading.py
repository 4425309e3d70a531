"""A file that is not what it should be is refused in one sentence, and nothing in it is executed."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from miniclip.bpe import Tokenizer
from miniclip.model.clip import create_model
from miniclip.training import checkpoint
from miniclip.weights import reading
from miniclip.weights.convert import load
from tests.weights.models import our_checkpoint, refused, tiny_release, write


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_model("vit_mini", vocab_size=520).eval()


def trap(path):
    """An archive that writes a file called "sprung" when torch.jit.load reads it."""

    class Trap(torch.nn.Module):
        def forward(self, x):
            return x

        @torch.jit.export
        def __getstate__(self):
            return (torch.ones(1), self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]):
            torch.save(state[0], "sprung")
            self.training = state[1]

    torch.jit.save(torch.jit.script(Trap()), path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_an_archive_that_would_run_code_when_it_is_unpickled_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(trap(tmp_path / "trap.pt"), "__setstate__")
    assert not (tmp_path / "sprung").exists()


def test_malformed_files_are_refused_in_one_sentence(tmp_path, small):
    good = write(tmp_path / "good.pt", small.state_dict()).read_bytes()
    save_file(small.state_dict(), tmp_path / "good.safetensors")
    safe = (tmp_path / "good.safetensors").read_bytes()
    our_checkpoint(small, tmp_path / "ours.pt")
    ours = (tmp_path / "ours.pt").read_bytes()
    refused(tmp_path / "nowhere.pt", "no weights file")
    for i, data in enumerate(
        [
            b"",
            b"hello",
            b"PK\x03\x04",
            good[:100],
            good[: len(good) // 2],
            good[:-30],
            safe[:40],
            safe[: len(safe) // 2],
            ours[: len(ours) // 2],
            pickle.dumps({"a": 1})[:5],
        ]
    ):
        path = tmp_path / f"bad{i}.pt"
        path.write_bytes(data)
        refused(path, "cannot be read", activation="gelu")
    (tmp_path / "bad.safetensors").write_bytes(safe[:-8])
    refused(tmp_path / "bad.safetensors", "cannot be read", activation="gelu")
    for content in ([1, 2], {"a": 1}, "text", torch.ones(3), {"state_dict": {"a": [1]}}):
        refused(write(tmp_path / "odd.pt", content), "no weights", activation="gelu")
    damaged = {"format": "miniclip", "version": 1}
    for content in (
        damaged,
        damaged | {"config": {}, "model": 3},
    ):
        refused(write(tmp_path / "odd.pt", content), "no checkpoint that can be read")
    for version in (99, "x", [1]):
        refused(write(tmp_path / "odd.pt", damaged | {"version": version}), "checkpoint version")


def test_a_mismatch_names_the_tensor_what_was_found_and_what_was_expected(
    tmp_path, small, monkeypatch
):
    slim = tiny_release(monkeypatch)
    state, path = slim.state_dict(), tmp_path / "w.pt"

    def changed(**changes):
        new = {**state, **changes}
        return write(path, {k: v for k, v in new.items() if v is not None})

    ask = dict(activation="quickgelu")
    name = "visual.layer1.0.conv2.weight"
    changed(**{name: torch.ones(3, 3)})
    refused(path, name, "(3, 3)", "(16, 16, 3, 3)", "rn_tiny", **ask)
    changed(**{name: None})
    refused(path, name, "missing", "(16, 16, 3, 3)", **ask)
    changed(**{"visual.extra": torch.ones(2)})
    refused(path, "visual.extra", "(2,)", "nothing", **ask)
    changed(token_embedding=None, **{"token_embedding.weight": None})
    refused(path, "token_embedding.weight", "missing", **ask)
    changed(text_projection=torch.ones(()))
    refused(path, "text_projection", "()", **ask)
    changed(**{"visual.attnpool.positional_embedding": torch.ones(16, 128)})
    refused(path, "visual.attnpool.positional_embedding", **ask)
    changed(**{"visual.bn1.num_batches_tracked": None})
    load(path, **ask)  # files of older torch have no such counters, and nothing depends on them
    ours = dict(model=slim.state_dict(), config=small.config)
    ours["tokenizer"] = Tokenizer.train(["a b"], 520).state()
    checkpoint.save(path, ours)
    refused(path, "positional_embedding", "(12, 32)", "(32, 128)", "vit_mini")


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Bomb:
        def __reduce__(self):
            return (open, ("sprung", "w"))

    for i, content in enumerate(
        [Bomb(), {"state_dict": Bomb()}, {"format": "miniclip", "x": Bomb()}]
    ):
        write(tmp_path / f"{i}.pt", content)
        (tmp_path / f"{i}.pkl").write_bytes(pickle.dumps(content))
        refused(tmp_path / f"{i}.pt", "more than tensors")
        refused(tmp_path / f"{i}.pkl", "no file of torch.save")
    assert not (tmp_path / "sprung").exists()


def test_each_format_is_known_by_its_first_bytes_and_brings_its_notes(tmp_path):
    weights = {"a": torch.ones(2)}
    save_file(weights, tmp_path / "plain")
    save_file(weights, tmp_path / "noted", metadata={"k": "v"})
    torch.save(weights, tmp_path / "pickled")
    for name, kind, notes in (
        ("plain", "safetensors", {}),
        ("noted", "safetensors", {"k": "v"}),
        ("pickled", "torch", {}),
    ):
        found = reading.read(tmp_path / name)
        assert found.pop("content")["a"].tolist() == [1, 1]
        assert found == dict(format=kind, notes=notes, activation=None)


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_brings_the_activation_of_its_methods(tmp_path):
    class Activated(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.gelu(x)

    torch.jit.save(torch.jit.script(Activated()), tmp_path / "w.pt")
    found = reading.read(tmp_path / "w.pt")
    assert found["format"] == "torchscript" and found["activation"] == "gelu"
    assert found["content"] == {}


@pytest.mark.parametrize(
    "said, words",
    [
        ("in two\nlines  of text", "in two lines of text"),
        ("x" * 161, "x" * 160),
        ("", "RuntimeError"),
        (
            "WeightsUnpickler error: Unsupported global: GLOBAL os.system was not an allowed global",
            "it holds more than tensors (os.system)",
        ),
        ("weights_only: Unsupported operand 149", "it holds more than tensors (149)"),
        ("WeightsUnpickler error: at the end", "it is cut short, or holds more than tensors"),
        ("failed with weights_only=True", "it is cut short, or holds more than tensors"),
    ],
)
def test_a_reader_s_error_is_told_in_a_few_words(said, words):
    assert reading._reason(RuntimeError(said)) == words
