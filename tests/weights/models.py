"""What the tests of weight files share: light models, files of them, and how one is refused."""

import torch

from miniclip.bpe import Tokenizer
from miniclip.model.clip import MODELS, create_model
from miniclip.training import checkpoint
from miniclip.weights import architecture
from miniclip.weights.convert import load
from miniclip.weights.huggingface import tokenizer_files
from tests.shared import must_refuse


def tiny_release(monkeypatch, vocab_size=520):
    """A small model that counts as released, and as open_clip's "Tiny", in this test."""
    numbers = dict(embed_dim=8, image_size=32, vision_layers=[1] * 4, vision_width=16)
    numbers |= dict(vision_heads=4, text_width=32, text_heads=2, text_layers=1, context_length=12)
    entry = numbers | dict(vocab_size=vocab_size, activation="quickgelu")
    monkeypatch.setitem(MODELS, "rn_tiny", entry)
    monkeypatch.setitem(architecture.OPENCLIP, "rn_tiny", "Tiny")
    torch.manual_seed(0)
    return create_model("rn_tiny", vocab_size=vocab_size).eval()


def openclip_config(config, vision_cfg=(), text_cfg=(), **more):
    """What open_clip_config.json says of a model with this config."""
    patch = config["vision_patch"]
    vision = {key: config[f"vision_{key}"] for key in ("layers", "width")} | dict(patch_size=patch)
    vision["head_width"] = vision["width"] * (1 if patch else 32) // config["vision_heads"]
    text = {key: config[f"text_{key}"] for key in ("layers", "width", "heads")}
    text |= {key: config[key] for key in ("vocab_size", "context_length")}
    vision |= dict(image_size=config["image_size"]) | dict(vision_cfg)
    model = dict(embed_dim=config["embed_dim"], vision_cfg=vision, text_cfg=text | dict(text_cfg))
    return model | dict(quick_gelu=config["activation"] == "quickgelu") | more


def same_weights(model, other):
    a, b = model.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def write(path, content):
    torch.save(content, path)
    return path


def refused(path, *words, **options):
    """The one sentence that load refuses the file with; it must name `words`."""
    before = torch.get_rng_state()
    sentence = must_refuse("", load, path, **options)
    assert len(sentence) < 500, sentence
    for word in (str(path), *words):
        assert word in sentence, f"{word!r} is not in {sentence!r}"
    assert torch.equal(before, torch.get_rng_state())


def write_tokenizer(tokenizer, folder, context_length):
    for name, text in tokenizer_files(tokenizer, context_length).items():
        (folder / name).write_text(text, encoding="utf-8")


def our_checkpoint(model, path):
    size, length = model.config["vocab_size"], model.config["context_length"]
    tokenizer = Tokenizer.train(["a red heart", "a red cup"], size, length)
    state = dict(model=model.state_dict(), config=model.config, tokenizer=tokenizer.state(), step=3)
    checkpoint.save(path, state)
    return tokenizer
