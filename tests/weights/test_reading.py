"""A file that is not what it should be is refused in one sentence, and nothing in it is executed."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from miniclip.bpe import Tokenizer
from miniclip.model.clip import create_model
from miniclip.training import checkpoint
from tests.weights.models import our_checkpoint, refused, tiny_release, write


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return create_model("vit_mini", vocab_size=520).eval()


class Trap(torch.nn.Module):
    """An archive of it writes a file called "sprung" when torch.jit.load reads it."""

    def forward(self, x):
        return torch.nn.functional.gelu(x)

    @torch.jit.export
    def __getstate__(self):
        return (torch.ones(1), self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        torch.save(state[0], "sprung")


class Bomb:
    def __reduce__(self):
        return (open, ("sprung", "w"))


@pytest.mark.filterwarnings("ignore")
def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.jit.save(torch.jit.script(Trap()), tmp_path / "trap.pt")
    refused(tmp_path / "trap.pt", "__setstate__")
    path = tmp_path / "bomb.pt"
    for content in (Bomb(), {"state_dict": Bomb()}, {"format": "miniclip", "x": Bomb()}):
        refused(write(path, content), "more than tensors")
        path.write_bytes(pickle.dumps(content))
        refused(path, "no file of torch.save")
    assert not (tmp_path / "sprung").exists()


def test_malformed_files_are_refused_in_one_sentence(tmp_path, small):
    good, bad = write(tmp_path / "good.pt", small.state_dict()).read_bytes(), tmp_path / "bad.pt"
    save_file(small.state_dict(), tmp_path / "good.safetensors")
    safe = (tmp_path / "good.safetensors").read_bytes()
    our_checkpoint(small, tmp_path / "ours.pt")
    ours = (tmp_path / "ours.pt").read_bytes()
    refused(tmp_path / "nowhere.pt", "no weights file")
    for data in (
        *(b"", b"hello", b"PK\x03\x04", pickle.dumps({"a": 1})[:5]),
        *(good[:100], good[: len(good) // 2], good[:-30], ours[: len(ours) // 2]),
        *(safe[:40], safe[: len(safe) // 2], safe[:-8]),
    ):
        bad.write_bytes(data)
        refused(bad, "cannot be read", activation="gelu")
    strange = [1, 2], {"a": 1}, "text", torch.ones(3), {"state_dict": {"a": [1]}}
    damaged = {"format": "miniclip", "version": 1}
    for content, words in (
        *((content, "a dict of tensors by name") for content in strange),
        (damaged, "no checkpoint that can be read"),
        (damaged | {"config": {}, "model": 3}, "no checkpoint that can be read"),
        *((damaged | {"version": wrong}, "checkpoint version") for wrong in (99, "x", [1])),
    ):
        refused(write(bad, content), words, activation="gelu")


def test_a_mismatch_names_the_tensor_what_was_found_and_what_was_expected(
    tmp_path, small, monkeypatch
):
    slim, path = tiny_release(monkeypatch), tmp_path / "w.pt"
    state, name = slim.state_dict(), "visual.layer1.0.conv2.weight"
    positions = "visual.attnpool.positional_embedding"
    for changed, tensor, *words in (
        (name, torch.ones(3, 3), "(3, 3)", "(16, 16, 3, 3)", "rn_tiny"),
        (name, None, "missing", "(16, 16, 3, 3)"),
        ("visual.extra", torch.ones(2), "(2,)", "nothing"),
        ("token_embedding.weight", None, "lacks"),
        (positions, torch.ones(16, 128)),
        ("logit_scale", torch.tensor(torch.nan), "NaN or infinite"),
        ("visual.bn1.running_var", -torch.ones(8), "variance below 0"),
    ):
        new = state | {changed: tensor}
        write(path, {k: v for k, v in new.items() if v is not None})
        refused(path, changed, *words, activation="quickgelu")
    tokenizer = Tokenizer.train(["a b"], 520, small.config["context_length"]).state()
    checkpoint.save(path, dict(model=state, config=small.config, tokenizer=tokenizer))
    refused(path, "positional_embedding", "(12, 32)", "(32, 128)", "vit_mini")
