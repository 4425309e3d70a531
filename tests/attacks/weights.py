"""Attacks on weights: files that ask for more than they hold, damaged and hand-edited ones, outputs."""

import errno
import gzip
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import miniclip
from lessons.studies.release import main as release
from miniclip import loss, plots
from miniclip.bpe import Tokenizer
from miniclip.data import Pairs, open_pairs
from miniclip.data.curation.curate import curate
from miniclip.data.dataset import keep_pairs
from miniclip.data.labelled import open_labelled
from miniclip.data.loader import batches
from miniclip.data.shards.pack import pack
from miniclip.data.transforms import Preprocess, normalize, redraw, training_crop
from miniclip.evaluation import (
    bias,
    confidence,
    data_overlap,
    linear_probe,
    near_duplicates,
    retrieval,
    robustness,
)
from miniclip.loss import clip_loss, contrastive_loss
from miniclip.model.clip import create_model
from miniclip.objectives import create, from_config
from miniclip.search.embed import embed_pairs, open_encoder
from miniclip.search.find import nearest, query
from miniclip.training import archive, recipe
from miniclip.training.grad_cache import microbatch_step
from miniclip.training.optimizer import HalfAdamW, stochastic_round
from miniclip.weights import convert, reading, save_huggingface, save_openclip
from miniclip.weights.__main__ import save_onnx
from miniclip.weights.average import interpolate, save_average
from miniclip.zeroshot import classifier_weights, classify, encode_images, encode_texts
from tests.attacks import at_replace, attack, table
from tests.shared import WRITTEN, must_refuse
from tests.weights.models import openclip_config, our_checkpoint, tiny_release
from tests.weights.test_convert import openai_file

TINY = dict(vision_layers=1, vision_width=32, text_layers=1, text_width=32, embed_dim=8)
TINY |= dict(image_size=32, context_length=8, vocab_size=520)
BLANK = Image.new("RGB", (4, 4))
MOMENTS = dict(step=1, exp_avg=torch.ones(4, 8), exp_avg_sq=torch.ones(4, 8))
CROP = dict(image=BLANK, image_size=4, rng=np.random.default_rng(0))
EXPANDED = torch.zeros(1).expand(10**6, 10**6)


def tiny(**numbers):
    torch.manual_seed(0)
    return create_model("vit_mini", **TINY | numbers).eval()


with torch.device("meta"):  # its first use imports 800 modules, which rows should not do each
    CONFIG = tiny().config


def edited(change):
    """c.pt, a checkpoint of a tiny model whose dict `change` has changed."""
    model, tokenizer = tiny(), Tokenizer.train(["a red heart", "a red cup"], 520, 8)
    state = dict(format="miniclip", version=1, config=model.config, model=model.state_dict())
    state |= dict(tokenizer=tokenizer.state(), options={}, step=3)
    change(state)
    torch.save(state, "c.pt")


def doubled(levels=60):
    """A tuple of 2^60 items, each level of which holds the one below twice."""
    found = ()
    for _ in range(levels):
        found = found, found
    return found


def config(**numbers):
    return lambda state: state["config"].update(numbers)


def weight(x, name="token_embedding.weight"):
    return lambda state: state["model"].update({name: x})


def merges(pairs):
    return lambda state: state["tokenizer"].update(merges=pairs)


# what somebody changed in a checkpoint, and what `load` says of it
CHECKPOINTS = {
    "merges_that_double": (merges([[0, 0]] + [[512 + i] * 2 for i in range(60)]), "too large"),
    "merges_of_infinity": (merges([[float("inf"), 0]]), "damaged"),
    "a_million_layers": (config(text_layers=10**6), "text_layers is 1000000"),
    "a_million_layers_of_a_vit": (config(vision_layers=10**6), "vision_layers is 1000000"),
    "a_stage_of_a_million": (config(vision_layers=[10**6]), "vision_layers is 1000000"),
    "200_layers_in_30_tensors": (config(text_layers=200), "more layers than its"),
    "a_negative_width": (config(text_width=-32), "text_width is -32"),
    "a_negative_vocabulary": (config(vocab_size=-520), "vocab_size is -520"),
    "no_heads": (config(vision_heads=0), "vision_heads is 0"),
    "negative_heads": (config(text_heads=-4), "text_heads is -4"),
    "a_patch_of_no_pixels": (config(vision_patch=0), "vision_patch is 0"),
    "pictures_of_1600000_pixels": (config(image_size=1_600_000), "image_size is 1600000"),
    "a_width_in_words": (config(vision_width="wide"), "vision_width is a str"),
    "a_depth_of_a_half": (config(text_layers=0.5), "text_layers is 0.5"),
    "an_activation_of_2_to_the_60": (config(activation=doubled()), "tuples inside each other"),
    "an_unknown_projection": (config(projection="MLP"), "projection must be linear or mlp"),
    "an_unknown_number": (config(depth=3), "describes no model"),
    "a_name_of_2_mb": (
        config(name="x" * 2**21),
        "name cannot be a text of more than 200 char[a-z]*$",
    ),
    "a_config_without_widths": (lambda s: s["config"].clear(), "describes no model"),
    "a_config_that_is_a_list": (lambda s: s.update(config=[1]), "'config' is a list"),
    "no_tokenizer": (lambda s: s.pop("tokenizer"), "'tokenizer' is missing"),
    "a_tokenizer_of_more_tokens": (config(vocab_size=514), "more tokens than the model"),
    "an_expanded_tensor": (weight(EXPANDED), "not stored whole"),
    "a_vocabulary_of_512_GB": (
        lambda s: (config(vocab_size=1 << 20)(s), weight(EXPANDED[:, :32])(s)),
        "not stored whole",
    ),
    "sparse_weights": (weight(torch.eye(520, 32).to_sparse()), "plain tensor of real"),
    "weights_without_numbers": (
        weight(torch.empty(520, 32, device="meta")),
        "plain tensor of real",
    ),
    "complex_weights": (
        weight(torch.zeros(520, 32, dtype=torch.complex64)),
        "plain tensor of real",
    ),
    "packed_weights": (
        weight(torch.zeros(520, 32, dtype=torch.uint8).view(torch.bits8)),
        "plain tensor of real",
    ),
    "whole_weights": (weight(torch.zeros(520, 32, dtype=torch.int64)), "type torch.int64"),
    "weights_that_are_text": (weight("0.5"), "not a dict of tensors"),
    "nan_weights": (weight(torch.full((520, 32), torch.nan)), "NaN or infinite"),
    "halves_as_merges": (merges([[324.9, 1]]), "damaged"),
    "merges_of_another_vocabulary": (merges([[1, 2]]), "was changed after it was"),
    "merges_that_are_a_dict": (merges({}), "was changed after it was"),
    "a_patch_for_a_resnet": (config(vision_layers=[1, 1]), "a ResNet has a list of stages"),
    "a_note_that_is_a_tensor": (
        lambda s: s.update(format="", miniclip=torch.ones(3)),
        "no weights",
    ),
    "a_name_of_two_lines": (weight(torch.ones(1), "evil\nname"), "evil.nname has shape"),
    "an_exponentiated_scale": (
        weight(torch.tensor(100.0), "logit_scale"),
        "logit_scale above 12",
    ),
    "an_infinite_weight": (weight(torch.tensor(torch.inf), "logit_scale"), "NaN or infinite"),
}


def load_edited(change):
    edited(change)
    miniclip.load("c.pt")


table(CHECKPOINTS, load_edited, says="^error: c.pt[^\n]*{}")
FINITE = {"finite_weights_whose_sum_is_not": (weight(torch.full((520, 32), 3e38)), "")}
table(FINITE, load_edited, code=0)


def load_with_texts_of(length):
    def change(state):
        state["tokenizer"].update(context_length=length)
        del state["tokenizer"]["crc32"]  # as in older files

    load_edited(change)


table(
    {"a_tokenizer_longer_than_the_context": (60_000, ""), "a_shorter_tokenizer": (5, "")},
    load_with_texts_of,
    says="c.pt: its tokenizer makes texts of (60000|5) ids, and the model has 8 positions",
)


table(
    {
        "class_names": (lambda model, odd: classifier_weights(model, odd, ["cup"], ["{}"]), ""),
        "texts": (lambda model, odd: encode_texts(model, odd, ["cup"]), ""),
        "a_folder": (lambda model, odd: save_huggingface(model, "hf", odd), ""),
    },
    lambda use: use(tiny(), lambda texts, context_length=77: None),  # as open_clip's
    "the_tokenizer_of_another_library_for_{}",
    says="tokenizer must be (miniclip's|of type Tokenizer)",
)


@attack(says="c.pt .*compressed")
def a_zip_that_inflates(folder):
    with zipfile.ZipFile("c.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("c/data.pkl", bytes(10**8))
    miniclip.load("c.pt")


def archive_with(change):
    """w.pt, an archive in OpenAI's format of a tiny model. change: (name, bytes) -> the entry's bytes,
    or text to add to its source."""
    os.makedirs("a", exist_ok=True)
    openai_file(tiny(text_width=128, context_length=77), "a/w.pt")
    with zipfile.ZipFile("a/w.pt") as old, zipfile.ZipFile("w.pt", "w", 8) as new:
        for entry in old.infolist():
            data, name = old.read(entry), entry.filename
            if not isinstance(change, str):
                data = change(name, data)
            elif name.endswith("test_convert.py"):
                data += change.encode()
            kind = zipfile.ZIP_DEFLATED if len(data) > 100_000 else zipfile.ZIP_STORED
            new.writestr(name, data, kind)
    miniclip.load("w.pt", activation="quickgelu")


def tuple_as_key():
    """A pickle whose dict has a tuple of 2^60 items as its key."""
    levels = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
    return b"\x80\x02)q\x00" + levels + b"}h\x3cK\x01s."


LONG = b"X\x40\x42\x0f\0" + b"n" * 10**6
CYCLE = b"\x80\x02c__torch__\nM\nq\x00)\x81q\x01}q\x02" + LONG + b"h\x01sb."
SLOPE = torch.tensor([1.702], dtype=torch.float64).numpy().tobytes()
CALL = "  def f(self: Tensor) -> Tensor:\n    return "
# what somebody changed in an archive, and what `load` says of it
ARCHIVES = {
    "200000_brackets": (
        f"{CALL}{'(' * 200_000}{')' * 200_000}\n",
        "w.pt has the shapes of no released",
    ),
    "200000_minus_signs": (f"{CALL}{'-' * 200_000}1\n", "w.pt has the shapes of no released model"),
    "source_that_inflates": ("#" * 100_000_000, "w.pt .*bytes more than the file"),
    "modules_in_each_other": (lambda n, data: CYCLE if "/data.pkl" in n else data, "in each other"),
    "tuples": (lambda n, data: tuple_as_key() if "/data.pkl" in n else data, "tuples inside"),
}
table(ARCHIVES, archive_with, "an_archive_of_{}")


@attack(code=0)
def an_archive_with_another_activation_does_not_tell_it(folder):
    for change in (
        lambda name, data: data.replace(SLOPE, bytes(8)),
        lambda name, data: data.replace(b"torch.silu(", b"torch.relu("),
        lambda name, data: data + b"# torch.gelu(" * ("/code/" in name),
    ):
        must_refuse("shapes of no released model", archive_with, change)
        found = [reading.read(path)["activation"] for path in ("a/w.pt", "w.pt")]
        assert found == ["quickgelu", None], found


def load_with_entry(mode, name, data):
    edited(dict)
    with zipfile.ZipFile("c.pt", mode) as entries:
        entries.writestr(name, data)
    miniclip.load("c.pt")


ENTRIES = {
    "a_key_of_2_to_the_60_items": ("w", "c/data.pkl", tuple_as_key(), "tuples inside"),
    "other_numbers_after_its_own": ("a", "c/data/0", bytes(8), "two entries with the same name"),
}
table(ENTRIES, load_with_entry, "a_checkpoint_of_{}", "c.pt .*{}")


TERABYTE = archive.MAGIC + pickle.dumps([bytearray(b"x")], 2).replace(
    b"c_codecs\nencode\n", b"c__builtin__\nint\n"
)
SAVED = io.BytesIO()
torch.save({"w": torch.zeros(1)}, SAVED, pickle_protocol=4)
PROTOCOL_4 = SAVED.getvalue()
# files of other kinds: the first bytes, the size, and what `load` says of it
FOREIGN = {
    "a_web_page": (b"<!doctype html>", 1000, "no file of torch.save"),
    "a_file_of_20_gb_without_content": (b"", 20 << 30, "no file of torch.save"),
    "another_pickle_protocol": (PROTOCOL_4, len(PROTOCOL_4), "pickle protocol 4, which cannot"),
    "an_empty_zip": (b"PK\5\6", 22, "a zip of other files; give a file of weights"),
    "a_pickle_that_asks_for_an_array_of_a_terabyte": (TERABYTE, len(TERABYTE), "bytearray"),
    "a_pointer_of_git_lfs": (b"version https://git-lfs.github.com/spec/v1\n", 130, "Git LFS"),
}


def load_foreign(start, size):
    Path("c.pt").write_bytes(start)
    os.truncate("c.pt", size)
    miniclip.load("c.pt")


table(FOREIGN, load_foreign, says="c.pt .*{}", mb=150)


def beside(name, content, **weights):
    """w.safetensors of a tiny model, or of `weights`, with a file beside it: text, or JSON."""
    save_file(weights or tiny().state_dict(), "w.safetensors")
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
    miniclip.load("w.safetensors")


def beside_config(vision_cfg=(), text_cfg=(), **asked):
    """A model beside an open_clip_config.json whose pictures are `asked`."""
    towers = dict(vision_cfg=dict(vision_cfg), text_cfg=dict(text_cfg))
    return "open_clip_config.json", dict(model_cfg=towers, preprocess_cfg=asked)


NESTED = '{"a":' * 100_000
# a file beside the weights, what is in it, and what `load` says
BESIDE = {
    "a_config_of_open_clip_that_is_nested": ("open_clip_config.json", NESTED, "damaged JSON"),
    "a_config_of_hugging_face_that_is_nested": ("config.json", NESTED, "damaged JSON"),
    "pictures_of_another_deviation": (*beside_config(std=[0.5] * 3), "std is .0.5"),
    "heads_of_the_pictures": (*beside_config(dict(heads=8)), "no heads = 8 in vision_cfg"),
    "a_head_width_of_the_texts": (
        *beside_config(text_cfg=dict(head_width=64)),
        "no head_width = 64 in text_cfg",
    ),
    "a_config_that_was_written_by_half": (
        "open_clip_config.json",
        dict(model_cfg=openclip_config(CONFIG) | {"text_cfg": None}),
        "model_cfg, vision_cfg and text_cfg must be objects",
    ),
    "an_activation_that_is_a_text": (
        "open_clip_config.json",
        dict(model_cfg=openclip_config(CONFIG) | {"quick_gelu": "false"}),
        "quick_gelu is neither true nor false",
    ),
    "a_misspelled_activation": (
        "open_clip_config.json",
        dict(model_cfg=openclip_config(CONFIG) | {"quickgelu": True}),
        "miniclip has no quickgelu = True in model_cfg",
    ),
    "heads_of_no_width": (
        "open_clip_config.json",
        openclip_config(CONFIG, dict(head_width=0)),
        "another form was expected: integer",
    ),
    "pictures_in_a_list": (
        "open_clip_config.json",
        dict(model_cfg=openclip_config(CONFIG), preprocess_cfg=[1]),
        "another form was expected: 'list' object",
    ),
    "pictures_of_another_mean_inside_the_model": (
        "open_clip_config.json",
        dict(model_cfg=openclip_config(CONFIG, preprocess_cfg=dict(mean=[0.5] * 3))),
        "mean is .0.5, 0.5, 0.5",
    ),
    "an_mlp_of_another_width": (
        *beside_config(dict(mlp_ratio=2.0)),
        "no mlp_ratio = 2.0 in vision_",
    ),
    "pictures_of_another_mean": (*beside_config(mean=[0.48145466, 0.5, 0.5]), "mean is"),
    "pictures_of_another_interpolation": (
        *beside_config(interpolation="bilinear"),
        "interpolation is bilinear",
    ),
    "pictures_of_another_resize_mode": (
        *beside_config(resize_mode="squash"),
        "resize_mode is squash",
    ),
}


def load_beside(name, content):
    beside(name, content, **({"text_model.a": torch.ones(1)} if name == "config.json" else {}))


table(BESIDE, load_beside, says="config.json .*{}")
ADAPTER = "adapter_config.json", {"peft_type": "LORA"}, "holds an adapter .adapter_config.json."
table({"an_adapter_beside_weights_of_open_clip": ADAPTER}, beside)


def load_changed(change):
    """w.pt, the weights of a tiny model as `change` returns them, beside its config."""
    torch.save(change(tiny().state_dict()), "w.pt")
    Path("open_clip_config.json").write_text(json.dumps(openclip_config(CONFIG)))
    miniclip.load("w.pt")


WEIGHTS = {
    "a_block_numbered_99999999": (
        lambda state: state | {"transformer.resblocks.99999999.ln_1.bias": torch.ones(3)},
        "transformer.resblocks.99999999.ln_1.bias has shape .3,., expected nothing",
    ),
    "weights_with_and_without_the_prefix_of_ddp": (
        lambda state: (
            {f"module.{name}": x for name, x in state.items()} | {"visual.proj": torch.ones(32, 8)}
        ),
        "w.pt has two tensors of one name",
    ),
    "weights_of_which_a_part_is_zeros": (
        lambda state: state | {"text_projection": torch.zeros(32, 8)},
        "w.pt: text_projection holds only zeros; was it downloaded completely",
    ),
}
table(WEIGHTS, load_changed)


@attack(code=0)
def heads_that_open_clip_leaves_to_its_default(folder):
    for width in (36, 32):
        model = tiny(vision_width=64, vision_heads=1, text_width=width)
        known = openclip_config(model.config, dict(pool_type="tok"), dict(proj_type="linear"))
        del known["text_cfg"]["heads"], known["vision_cfg"]["head_width"]
        if width == 36:
            must_refuse(
                "split among 8", beside, "open_clip_config.json", known, **model.state_dict()
            )
    beside("open_clip_config.json", known, **model.state_dict())


@attack(says="w.safetensors: [a-z_.]* has shape .*, expected .* for this model")
def a_config_of_another_model(folder):
    other = openclip_config(tiny().config, dict(width=64))
    beside("open_clip_config.json", dict(model_cfg=other))


def zip_of(save, name):
    """w.pt, a zip that holds the weights as somebody has packed them."""
    save(tiny().state_dict(), name)
    with zipfile.ZipFile("w.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(name)
    miniclip.load("w.pt")


ZIPS = {
    "a_checkpoint": (torch.save, "checkpoint.pt", ""),
    "safetensors": (save_file, "w.safetensors", ""),
    "arrays": (lambda state, name: Path(name).write_bytes(b"x"), "w.npy", ""),
}
table(ZIPS, zip_of, "a_zip_of_{}", "w.pt .*a zip of other files; give a file of weights{}")


@attack(says="context_length must be at least 2")
def a_context_length_that_is_set_below_2(folder):
    tokenizer = Tokenizer([])
    tokenizer.context_length = -2
    tokenizer(["a red heart"])


@attack(code=0)
def a_caption_of_entities_in_entities_and_of_one_with_many_digits(folder):
    assert Tokenizer([]).decode(Tokenizer([]).encode("&" + "amp;" * 50_000)) == "&"
    Tokenizer([]).encode("&#" + "9" * 5_000 + ";")


@attack(code=0)
def another_default_dtype(folder):
    edited(dict)
    torch.set_default_dtype(torch.float16)
    assert {x.dtype for x in miniclip.load("c.pt")[0].parameters()} == {torch.float32}


# --- changed bits


@attack(says="c.pt .*(have changed|Bad CRC)")
def a_bit_of_a_checkpoint_flips(folder):
    edited(dict)
    data = bytearray(Path("c.pt").read_bytes())
    data[data.index(tiny().token_embedding.weight.detach().numpy().tobytes()[:64]) + 3] ^= 0x40
    Path("c.pt").write_bytes(data)
    miniclip.load("c.pt")


# --- devices, outputs, the loss


def keeps(path, save):
    """Whether `save()` refuses to replace the file `path` of somebody else, and save(overwrite=True)
    does not."""
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("mine")
    must_refuse(f"{path} exists", save)
    assert Path(path).read_text() == "mine"
    save(overwrite=True)


@attack(code=0)
def outputs_over_somebody_elses_files(folder):
    released = tiny_release(pytest.MonkeyPatch())
    tokenizer, small = our_checkpoint(tiny(), "c.pt"), tiny()
    average = 0.5, ("a", "b"), small.state_dict(), small, tokenizer, {}
    keeps("w.pt", lambda **how: save_openclip(released, "w.pt", **how))
    keeps("w.safetensors", lambda **how: save_openclip(released, "w.safetensors", **how))
    keeps("hf/config.json", lambda **how: save_huggingface(small, "hf", tokenizer, **how))
    keeps("a.pt", lambda **how: save_average("a.pt", *average, **how))
    must_refuse("c.pt exists", save_average, "c.pt", *average)  # as best.pt of a run
    run = shutil.copy(WRITTEN / "run/checkpoint.pt", ".")
    must_refuse("of a run, which could not", save_average, run, *average, overwrite=True)


@attack(code=0)
def outputs_over_files_that_name_miniclip_and_over_a_run(folder):
    released = tiny_release(pytest.MonkeyPatch())
    torch.save({"library": "miniclip", "features": torch.ones(3)}, "feats.pt")
    save_file({"features": torch.ones(3)}, "feats.safetensors", {"made_by": "miniclip"})
    edited(lambda state: state.update(heldout_loss=1.0))  # as best.pt
    must_refuse("best.pt of a run", save_openclip, released, "c.pt", overwrite=True)
    edited(lambda state: state.update(optimizer={}))
    must_refuse("did not write it", save_openclip, released, "feats.pt")
    must_refuse("did not write it", save_openclip, released, "feats.safetensors")
    must_refuse("of a run", save_openclip, released, "c.pt", overwrite=True)
    edited(dict)  # such as an average of two models
    must_refuse("c.pt exists; choose another name", save_openclip, released, "c.pt")
    os.symlink("c.pt", "link.pt")
    before = Path("c.pt").read_bytes()
    save_openclip(released, "link.pt", overwrite=True)
    assert Path("c.pt").read_bytes() == before and not os.path.islink("link.pt")
    save_openclip(released, "c.pt", overwrite=True)


@attack(code=0)
def outputs_over_a_vocabulary_that_somebody_changed(folder):
    tokenizer, path = our_checkpoint(tiny(), "c.pt"), Path("t.json")
    state = tokenizer.state()
    for change in (dict(note="mine"), dict(merges=[[1, 2]])):
        path.write_text(json.dumps(state | change))
        must_refuse("or it was changed since", tokenizer.save, "t.json")
    del state["digest"]  # as older files
    path.write_text(json.dumps(state))
    tokenizer.save("t.json")
    assert Tokenizer.load("t.json").digest == tokenizer.digest


@attack(says="no config.json beside it")
def a_folder_whose_writing_is_killed(folder):
    tokenizer = our_checkpoint(tiny(), "c.pt")
    save_huggingface(tiny(), "hf", tokenizer)
    replace, others = os.replace, {path.name for path in Path("hf").iterdir()} - {"config.json"}
    for written in ({"model.safetensors"}, others):  # config.json comes last
        os.replace = lambda new, old: replace(new, old) if old.name in written else 1 / 0
        with pytest.raises(ZeroDivisionError):
            save_huggingface(tiny(vision_heads=8), "hf", tokenizer, overwrite=True)
        assert not os.path.exists("hf/config.json")
    miniclip.load("hf")


@attack(code=0)
def ctrl_c_while_the_files_of_a_folder_are_replaced(folder):
    tokenizer = our_checkpoint(tiny(), "c.pt")
    save_huggingface(tiny(), "hf", tokenizer)
    at_replace(2)
    with pytest.raises(KeyboardInterrupt):
        save_huggingface(tiny(vision_heads=8), "hf", tokenizer, overwrite=True)
    assert miniclip.load("hf")[0].config["vision_heads"] == 8


@attack(code=0)
def an_export_over_a_snapshot_that_shares_its_files_with_another(folder):
    tokenizer = our_checkpoint(tiny(), "c.pt")
    save_huggingface(tiny(), "blobs", tokenizer)
    for path in [*Path("blobs").iterdir()]:
        for revision in ("r1", "r2"):
            Path(revision).mkdir(exist_ok=True)
            Path(revision, path.name).symlink_to(f"../{path}")
    os.symlink("r1", "newest")
    must_refuse("model.safetensors exists", save_huggingface, tiny(), "newest", tokenizer)
    save_huggingface(tiny(vision_heads=8), "newest", tokenizer, overwrite=True)
    assert [miniclip.load(r)[0].config["vision_heads"] for r in ("r1", "r2", "blobs")] == [8, 4, 4]
    assert os.path.islink("newest") and not os.path.islink("r1/config.json")
    Path("copy").mkdir()
    os.symlink("gone", "copy/vocab.json")
    must_refuse("copy/vocab.json exists", save_huggingface, tiny(), "copy", tokenizer)


@attack(code=0, slow=True)
def models_that_could_not_be_read_again(folder):
    model, tokenizer = tiny_release(pytest.MonkeyPatch()), our_checkpoint(tiny(), "c.pt")
    save_openclip(torch.compile(model), "w.pt")
    miniclip.load("w.pt")
    model.extra = torch.nn.Linear(1, 1)
    must_refuse("extra.bias", save_openclip, model, "x.pt")
    model.visual.bn1.running_var.fill_(-1)
    must_refuse("variance below 0", save_openclip, model, "x.pt")
    for broken in (tiny().to("meta"), tiny()):
        broken.logit_scale.data.fill_(torch.nan)
        must_refuse("NaN or infinite", save_huggingface, broken, "hf", tokenizer)
    for wrong in (
        dict(text_layers=-1),
        dict(embed_dim=0),
        dict(text_heads=0),
        dict(text_width=32.5),
    ):
        must_refuse("not a whole number", tiny, **wrong)


def vocabulary(write):
    write(Path("t.json"))
    Tokenizer.load("t.json")


def inflating(path):
    with gzip.open(path, "wb", 1) as file:
        file.write(bytes(150_000_000))
    Tokenizer.openai(path)


CUT = gzip.compress(json.dumps(Tokenizer([(i, i) for i in range(150)]).state()).encode())[:-50]
table(
    {
        "that_inflates": (inflating, "0 merges"),
        "of_6_gb_without_content": (lambda p: p.touch() or os.truncate(p, 6 << 30), "no voca"),
        "that_is_cut": (lambda p: p.write_bytes(CUT), "no vocabulary: Compressed file ended"),
        "that_is_a_pipe": (os.mkfifo, "no vocabulary: t.json is not a file"),
        "that_is_a_dangling_link": (
            lambda p: p.symlink_to("gone"),
            "no .* link that leads to no file",
        ),
    },
    vocabulary,
    "a_vocabulary_{}",
    "t.json holds {}",
    mb=150,
)


@attack(says="the text .a 1111.* takes 33 ids, and the context holds only 8")
def a_class_name_that_is_cut(folder):
    edited(dict)
    model, tokenizer, _ = miniclip.load("c.pt")
    classifier_weights(model, tokenizer, ["cup"], ["{}" + 50 * " 1"])
    classifier_weights(model, tokenizer, ["1" * 29 + "2", "1" * 29 + "3"], ["a {}"])


def load_folder_with(name, change):
    """A folder of Hugging Face, in which `change` puts something else in the place of a file."""
    save_huggingface(tiny(), "hf", our_checkpoint(tiny(), "c.pt"))
    Path(f"hf/{name}").unlink(missing_ok=True)
    change(f"hf/{name}")
    miniclip.load("hf")


@attack(code=0)
def a_picture_without_pixels_is_left_out_alone(folder):
    pictures = Image.new("RGB", (8, 8)), Image.new("RGB", (0, 5)), Image.new("RGB", (8, 8))
    pairs = open_pairs([(picture, "a cup") for picture in pictures])
    assert encode_images(tiny(), pairs, range(len(pairs)))[1] == [0, 1]


@attack(says="its header has .* bytes, too many for a CLIP")
def a_million_empty_tensors(folder):
    header = "".join(
        f'"t{k}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},' for k in range(10**6)
    )
    header = ("{" + header[:-1] + "}").encode()
    Path("w.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    miniclip.load("w.safetensors")


@attack(code=0)
def a_frozen_tower_stays_frozen_while_texts_are_encoded(folder):
    model = tiny(vocab_size=514).train()
    model.visual.eval()
    encode_texts(model, Tokenizer([], 8), ["cup"])
    assert model.training and not model.visual.training


ADDED = {"49408": {"content": "<cat-toy>"}}


def terabyte(path):
    Path(path).touch()
    os.truncate(path, 10**12)


DANGLING = """config.json preprocessor_config.json processor_config.json tokenizer.json vocab.json
    tokenizer_config.json added_tokens.json model.safetensors""".split()
table(
    {
        f"{name}_is_a_dangling_link": (
            name,
            lambda path: os.symlink("gone", path),
            f"hf/{name} is a link that leads to no file; bring its file back",
        )
        for name in DANGLING
    }
    | {
        "vocabulary_is_a_pipe": ("vocab.json", os.mkfifo, "vocab.json is not a file"),
        "merges_are_a_pipe": ("merges.txt", os.mkfifo, "merges.txt cannot be read: not a file"),
        "settings_add_a_token": (
            "tokenizer_config.json",
            lambda path: Path(path).write_text(json.dumps({"added_tokens_decoder": ADDED})),
            "holds no tokenizer of CLIP's kind: it has added tokens",
        ),
        "file_of_added_tokens_has_one": (
            "added_tokens.json",
            lambda path: Path(path).write_text('{"<cat-toy>": 520}'),
            "holds no tokenizer of CLIP's kind: it has added tokens",
        ),
        **{
            f"{what}_of_{name}_are_unknown": (
                name,
                lambda path, key=key, tokens=tokens: Path(path).write_text(
                    json.dumps({key: tokens})
                ),
                "holds no tokenizer of CLIP's kind: it has added tokens",
            )
            for name in ("tokenizer_config.json", "special_tokens_map.json")
            for what, key, tokens in (
                ("more_tokens", "additional_special_tokens", ["<cat-toy>"]),
                ("named_tokens", "extra_special_tokens", {"cat_token": "<cat-toy>"}),
                ("ends", "eos_token", {"content": "</s>"}),
            )
        },
        "pictures_are_those_of_another_processor": (
            "preprocessor_config.json",
            lambda path: Path(path).write_text('{"image_processor_type": "ViTImageProcessor"}'),
            "asks for pictures that miniclip does not make: they are for a ViTImageProcessor",
        ),
        **{
            f"{key}_says_of_pictures": (
                "preprocessor_config.json",
                lambda path, key=key: Path(path).write_text(json.dumps({"size": 32, key: True})),
                f"asks for pictures that miniclip does not make: {key} is True",
            )
            for key in ("do_pad", "default_to_square")
        },
        "texts_finish_with_a_word": (
            "tokenizer_config.json",
            lambda path: Path(path).write_text('{"eos_token": "!"}'),
            "its rows of ids must begin with <.startoftext.> and finish with <.endoftext.>",
        ),
        "merges_are_a_terabyte": ("merges.txt", terabyte, "merges.txt is too long"),
        "weights_have_an_adapter": (
            "adapter_config.json",
            lambda path: Path(path).write_text('{"peft_type": "LORA"}'),
            "hf holds an adapter .adapter_config.json., which miniclip would leave out; merge it",
        ),
    },
    load_folder_with,
    "a_hugging_face_folder_whose_{}",
)


table(
    {"none": ({}, ""), "that_the_vocabulary_has": ({"<|endoftext|>": 519}, "")},
    lambda tokens: load_folder_with(
        "added_tokens.json", lambda path: Path(path).write_text(json.dumps(tokens))
    ),
    "added_tokens_{}",
    code=0,
)


@attack(says="open_clip_config.json is a link that leads to no file; bring its file back")
def a_config_of_open_clip_that_is_a_dangling_link(folder):
    os.symlink("gone", "open_clip_config.json")
    save_file(tiny().state_dict(), "w.safetensors")
    miniclip.load("w.safetensors")


@attack(code=0)
def merges_with_the_line_ends_of_windows(folder):
    save_huggingface(tiny(), "hf", our_checkpoint(tiny(), "c.pt"))
    path, before = Path("hf/merges.txt"), miniclip.load("hf")[1].state()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert miniclip.load("hf")[1].state() == before


@attack(says="miniclip did not write it")
def a_release_over_somebody_elses_file(folder):
    (folder / "mine.pt").write_text("mine")
    release([str(WRITTEN / "run"), "mine.pt"])


@attack(code=0)
def the_exponentiated_scale_as_logit_scale(folder):
    image, text, scale = tiny()(torch.randn(2, 3, 32, 32), torch.randint(1, 519, (2, 8)))
    for wrong in (scale, float(scale), scale.double()):
        must_refuse("model.logit_scale", contrastive_loss, image, text, wrong)
    assert contrastive_loss(image, text, tiny().logit_scale).isfinite()
    loss._value = lambda x: None  # as on a GPU, where the host would wait for it
    assert contrastive_loss(image, text, scale).isnan()


ROWS, BYTES = torch.ones(4, 8), torch.ones(4, 8, dtype=torch.float8_e4m3fn)


def two():
    """Two pairs of a white picture and a word."""
    white = Image.new("RGB", (8, 8), "white")
    return open_pairs([(white, "a cup"), (white, "a tree")])


class Arrays(list):
    """A dataset of one picture, an array, and its caption."""

    column_names = ["image", "text"]

    def __getitem__(self, key):
        return ["a cup"] if key == "text" else {"image": ROWS.numpy()}


@attack(code=0)
def an_export_over_an_older_one_that_is_protected_or_on_a_disk_that_fails_when_it_flushes(folder):
    tokenizer, access = our_checkpoint(tiny(), "c.pt"), os.access
    save_huggingface(tiny(), "hf", tokenizer)
    before = {path: path.read_bytes() for path in Path("hf").iterdir()}
    os.access = lambda path, mode: "merges" not in str(path) and access(path, mode)  # chattr +i
    protected = "hf/merges.txt is write-protected"
    must_refuse(protected, save_huggingface, tiny(), "hf", tokenizer, overwrite=True)
    assert before == {path: path.read_bytes() for path in Path("hf").iterdir()}
    os.access = access

    def full(file):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    os.fsync = full
    with pytest.raises(OSError):
        save_huggingface(tiny(), "hf", tokenizer, overwrite=True)
    assert before == {path: path.read_bytes() for path in Path("hf").iterdir()}


def web():
    return miniclip.load("web")[:2]


def word_model(objective="bag_of_words", **numbers):
    return create(objective, "rn_mini", vocab_size=100, **numbers)


TYPED = {  # calls from Python with a wrong argument, and what must be said
    "a_name_that_is_too_long": (lambda: miniclip.load("x" * 300), "no weights file at x{300}$"),
    "a_card_that_is_not_there": (lambda: miniclip.load("web", "cuda"), "cuda is not available"),
    "the_folder_of_a_run": (lambda: miniclip.load(WRITTEN / "run"), "give the file checkpoint.pt"),
    "a_folder_below_a_file": (
        lambda: save_huggingface(tiny(), "/dev/null/hf", our_checkpoint(tiny(), "c.pt")),
        "cannot be written",
    ),
    "features_of_8_bits": (lambda: contrastive_loss(BYTES, BYTES, 1.0), "at least 16 bits"),
    "texts_of_8_bits": (lambda: contrastive_loss(ROWS, BYTES, 1.0), "at least 16 bits"),
    "class_names_in_another_vocabulary": (
        lambda: classifier_weights(
            miniclip.load("web")[0],
            Tokenizer.train(["a blue cup"], 518, 8),
            (name for name in ["cup"]),
            ["{}"],
        ),
        "another vocabulary than the model",
    ),
    "predictions_in_a_column": (
        lambda: bias.error_by_group(torch.zeros(2, 1), torch.zeros(2), ["a", "b"]),
        "one number for each of the 2 groups",
    ),
    "labels_that_are_no_classes": (
        lambda: confidence.scores(ROWS, torch.full((len(ROWS),), -1)),
        "rows needs a label from 0 to",
    ),
    "a_percentage_as_a_probability": (
        lambda: confidence.binomial_tail(44, 103, 44),
        "p must be from 0 to 1, not 44",
    ),
    "ranks_from_0": (lambda: retrieval.recalls([0, 1, 2], 5), "from 1"),
    "no_ranks": (lambda: retrieval.recalls([], 5), "one or more numbers"),
    "a_query_without_an_answer": (
        lambda: retrieval.ranks(torch.eye(2), torch.eye(2), torch.tensor([0, 9]), torch.arange(2)),
        "a query has no right answer",
    ),
    "one_answer_for_all_queries": (
        lambda: retrieval.ranks(torch.eye(2), torch.eye(2), torch.tensor([0]), torch.arange(2)),
        "an entry for each query",
    ),
    "accuracies_in_percent": (
        lambda: robustness.baseline([76.2, 50.0], [64.3, 20.0]),
        "and not percentages",
    ),
    "a_share_of_whole_numbers_beyond_all_floats": (
        lambda: confidence.share(1, 10**400),
        "n must not be beyond 1e300",
    ),
    "complex_similarities": (lambda: confidence.scores(ROWS * 1j, [0] * 4), "similarity must be"),
    "ranks_among_nothing": (lambda: retrieval.recalls([1], None), "type int, not NoneType"),
    "ranks_among_part_of_a_picture": (lambda: retrieval.recalls([1], 5.5), "type int, not float"),
    "the_chance_of_nan": (lambda: retrieval.chance(float("nan")), "type int, not float"),
    "groups_in_no_order": (
        lambda: bias.error_by_group([1, 0], [1, 1], {"a", "b"}),
        "groups must be in an order",
    ),
    "a_pool_beyond_the_labels": (
        lambda: linear_probe.few_shot([0, 1, 0, 1], [0, 4], 1, 0),
        "pool must be positions from 0 to 3",
    ),
    "a_pool_counted_from_the_end": (
        lambda: linear_probe.few_shot([0, 1, 0, 1], [-1, 0], 1, 0),
        "pool must be positions from 0 to 3",
    ),
    "a_pool_of_halves": (
        lambda: linear_probe.few_shot([0, 1, 0, 1], [0.5, 1], 1, 0),
        "pool must be positions from 0 to 3",
    ),
    "a_pool_in_no_order": (lambda: linear_probe.few_shot([0, 1], {0, 1}, 1, 0), "pool must be"),
    "a_score_that_is_nan": (
        lambda: linear_probe.search_strength(lambda strength: float("nan")),
        "score.1e-06. is NaN",
    ),
    "a_curve_that_goes_back": (lambda: linear_probe.reached([4, 1], [0.1, 0.9], 0.5), "must grow"),
    "a_curve_of_8_bits_that_goes_back": (
        lambda: linear_probe.reached(np.array([4, 1], np.uint8), [0.1, 0.9], 0.5),
        "these must grow",
    ),
    "a_curve_with_a_point_too_many": (
        lambda: linear_probe.reached([1, 2], [0.1, 0.2, 0.9], 0.5),
        "one accuracy for each number of pairs",
    ),
    **{
        f"moments_with_{name}": (
            lambda odd=odd: HalfAdamW([ROWS.clone().requires_grad_()]).load_state_dict(
                {"state": {0: MOMENTS | odd}, "param_groups": [dict(params=[0], betas=(0.9, 0.9))]}
            ),
            words,
        )
        for name, odd, words in (
            ("minus_one_step", dict(step=-1), "this is not the state of an AdamW"),
            ("steps_in_words", dict(step="one"), "this is not the state of an AdamW"),
            ("another_shape", dict(exp_avg_sq=torch.ones(1)), "other shapes than the parameters"),
        )
    },
    "a_model_of_terabytes": (
        lambda: create_model("vit_b32", vision_width=1 << 14, vision_layers=256, vision_heads=64),
        "the model has at least 8.* weights",
    ),
    "a_resnet_of_sixty_stages": (
        lambda: create_model("rn_mini", vision_layers=[1] * 60),
        "weights",
    ),
    "a_name_as_a_config": (lambda: from_config("vit_b32"), "config must be of type dict, not str"),
    "no_parts_of_a_batch": (lambda: microbatch_step(tiny(), [], clip_loss), "at least one part"),
    "levels_with_the_channels_last": (
        lambda: normalize(torch.zeros(4, 5, 3, dtype=torch.uint8)),
        "must be .*, 3, H, W., torch.uint8, not a Tensor of .4, 5, 3",
    ),
    "levels_of_a_list": (lambda: normalize([0, 0, 0]), "not a list"),
    "a_side_of_a_million_pixels": (lambda: Preprocess(10**6)(BLANK), "at most 16384, not 1000000"),
    **{
        f"a_crop_with_{name}": (lambda how=how: training_crop(**CROP | how), words)
        for name, how, words in (
            ("one_number_as_its_scale", dict(scale=0.5), "scale must be .low, high"),
            ("three_numbers_as_its_scale", dict(scale=(0.1, 0.2, 0.3)), "scale must be .low, high"),
            ("nothing_to_cut_it_from", dict(image=Image.new("RGB", (0, 4))), "has no pixels"),
            (
                "levels_without_a_range",
                dict(image=Image.new("F", (4, 4))),
                "convert them to 8 bits",
            ),
            ("room_for_another_size", dict(out=np.zeros((3, 8, 8), np.uint8)), "out must be uint8"),
            ("room_for_floats", dict(out=np.zeros((3, 4, 4))), "out must be uint8 .3, 4, 4"),
        )
    },
    **{
        f"a_redrawn_icon_with_{name}": (
            lambda how=how: redraw(**dict(image=BLANK, image_size=4) | how),
            words,
        )
        for name, how, words in (
            ("a_shift_of_nan", dict(shift=(float("nan"), 0)), "and .nan, 0"),
            ("a_shift_of_three_numbers", dict(shift=(0, 0, 0)), "and .0, 0, 0"),
            ("ink_of_nan", dict(ink=float("nan")), "ink from 0 to 1, .*not 1.0, nan"),
            ("too_much_ink", dict(ink=2), "ink from 0 to 1, .*not 1.0, 2"),
            ("ink_below_0", dict(ink=-0.1), "ink from 0 to 1, .*not 1.0, -0.1"),
            ("nothing_to_draw", dict(image=Image.new("L", (0, 0))), "has no pixels"),
        )
    },
    "pixels_up_to_255": (
        lambda: near_duplicates.near_duplicates(*[torch.full((1, 3, 64, 64), 255.0)] * 2),
        "and not to 255",
    ),
    "moments_of_64_bits": (lambda: stochastic_round(ROWS.double()), "float32 .*torch.float64"),
    "a_dict_of_names": (lambda: classifier_weights(*web(), {"n1": "cup"}, ["{}"]), "list.d.values"),
    "a_set_of_templates": (lambda: classifier_weights(*web(), ["cup"], {"{}"}), "in an order"),
    "a_name_that_is_no_utf_8": (
        lambda: classifier_weights(*web(), ["caf\udce9"], ["{}"]),
        "no UTF-8",
    ),
    "an_activation_in_a_list": (lambda: create_model("vit_mini", activation=["gelu"]), "a list"),
    "lists_as_features": (lambda: contrastive_loss([[1.0]], [[1.0]], 1.0), "not a list, a list, a"),
    "arrays_as_features": (lambda: contrastive_loss(*[ROWS.numpy()] * 2, 1), "not a ndarray of .4"),
    "nothing_as_scale": (lambda: contrastive_loss(ROWS, ROWS, None), "a NoneType"),
    "sparse_features": (lambda: contrastive_loss(*[ROWS.to_sparse()] * 2, 1), "not sparse"),
    "complex_features": (lambda: contrastive_loss(*[ROWS * 1j] * 2, 1), "of torch.complex64"),
    "whole_features": (lambda: contrastive_loss(*[ROWS.long()] * 2, 1), "of torch.int64"),
    "a_text": (lambda: tiny().encode_text("a"), "not a str"),
    "texts": (lambda: tiny().encode_text(["a", "b"]), "not a list"),
    "ids_beyond_the_vocabulary": (lambda: tiny().encode_text(ROWS.long() + 519), "0 to 519"),
    "ids_below_zero": (lambda: tiny().encode_text(-ROWS.long()), "0 to 519"),
    "ids_that_are_floats": (lambda: tiny().encode_text(ROWS), "of .4, 8., torch.float32"),
    "ids_of_8_bits": (lambda: tiny().encode_text(ROWS.byte()), "of .4, 8., torch.uint8"),
    "pictures_of_8_bits": (
        lambda: tiny().encode_image(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)),
        "floats .N, 3, H, W.*uint8",
    ),
    "pictures_without_channels": (
        lambda: tiny().encode_image(torch.ones(2, 32, 32)),
        "of .2, 32, 32",
    ),
    "one_picture": (
        lambda: tiny(vision_layers=[1, 1], vision_patch=None).encode_image(torch.ones(3, 32, 32)),
        "such as stacked",
    ),
    "stages_of_a_resnet": (
        lambda: tiny(vision_layers=[], vision_patch=None),
        "a ResNet has a list of stages",
    ),
    "a_size_that_does_not_fit_the_patches": (
        lambda: miniclip.load("web", image_size=33),
        "image_size=33 for ",
    ),
    "a_number_to_find": (lambda: nearest(ROWS.numpy(), ROWS[0], -1), "k must be at least 1"),
    "no_labelled_pictures": (lambda: open_labelled([]), "by a path, or by a list"),
    "names_in_no_order": (lambda: open_labelled("p", {"cat", "dog"}), "in the order of the labels"),
    "the_digest_of_a_vocabulary": (lambda: tiny(tokenizer=Tokenizer([])), "cannot be a Tokenizer"),
    "all_that_load_returns": (
        lambda: classifier_weights((tiny(), 0), Tokenizer([]), ["cup"], ["{}"]),
        "must be miniclip's, and not a tuple",
    ),
    "no_names": (lambda: classifier_weights(None, None, [], ["{}"]), "a non-empty list of class"),
    "a_missing_value_among_names": (
        lambda: classifier_weights(None, None, ["cup", float("nan"), 5], ["{}"]),
        r"class names must be texts, and names\[1\] is nan",
    ),
    "a_name_of_a_mark_alone": (
        lambda: classifier_weights(*miniclip.load("web")[:2], ["\u0345", "cup"], ["{}"]),
        "a class name is empty, or has no words",
    ),
    "no_templates": (lambda: classifier_weights(None, None, ["cup"], []), "non-empty list such as"),
    "a_template_without_its_place": (
        lambda: classifier_weights(tiny(), Tokenizer([]), ["cup"], ["a cup"]),
        "must hold {} once, where the name goes: ..a cup",
    ),
    "a_template_of_two_places": (
        lambda: classifier_weights(None, None, ["cup"], ["{} and {}"]),
        "must hold {} once",
    ),
    "one_template_for_a_list": (
        lambda: classifier_weights(tiny(), Tokenizer([]), ["cup"], "a {}"),
        "templates must be of type Iterable, not str",
    ),
    "a_number_as_a_path": (lambda: miniclip.load(3), "path must be .*not int"),
    "a_size_of_two_sides": (
        lambda: miniclip.load("web", image_size=(64, 64)),
        "image_size must be .*not tuple",
    ),
    "a_number_as_the_tokenizer": (lambda: save_huggingface(tiny(), "hf", 3), "tokenizer must be"),
    "a_layer_to_export": (lambda: save_openclip(tiny().visual, "x.pt"), "and not a ViT"),
    "nothing_as_a_path": (lambda: save_huggingface(tiny(), ""), "folder must not be empty"),
    "no_batch": (lambda: encode_texts(tiny(), Tokenizer([]), ["cup"], -1), "at least 1, not -1"),
    "half_a_number_of_a_picture": (lambda: encode_images(tiny(), two(), [0.5]), "and not 0.5"),
    "half_a_query_to_find": (
        lambda: nearest(np.eye(8), torch.eye(8)[0] / 2, 1),
        "of length one, as the function query returns it",
    ),
    "features_of_half_the_length": (
        lambda: nearest(np.eye(8) / 2, torch.eye(8)[0], 1),
        "rows that are not of length one; divide each row by its norm",
    ),
    "a_set_of_texts": (lambda: encode_texts(*web(), {"a cup", "a dog"}), "must be in an order"),
    "a_table_of_texts": (lambda: encode_texts(*web(), np.array([["a cup"]])), "give one column"),
    "a_table_of_names": (
        lambda: classifier_weights(*web(), np.array([["cup"], ["dog"]]), ["{}"]),
        "names must be one list; of a table give one column",
    ),
    "a_set_to_a_tokenizer": (lambda: Tokenizer([])({"a cup", "a dog"}), "must be in an order"),
    "a_dict_to_a_tokenizer": (lambda: Tokenizer([])({"n1": "a cup"}), "must be in an order"),
    "a_table_to_a_tokenizer": (lambda: Tokenizer([])(np.array([["cup"]])), "give one column"),
    "a_tokenizer_that_takes_any_option": (  # as Hugging Face's
        lambda: encode_texts(tiny(), lambda texts, **options: {"input_ids": [[1]]}, ["cup"]),
        "the tokenizer must be miniclip's, and not a function",
    ),
    "a_dict_of_texts": (lambda: encode_texts(*web(), {"n1": "a cup"}), "must be in an order"),
    "a_column_to_find": (lambda: nearest(ROWS.numpy(), ROWS[:1].T, 1), "shape .8,., not .8, 1"),
    "features_to_classify_in_3_dimensions": (lambda: classify(ROWS[None], ROWS.T), "must be .K, E"),
    "features_to_classify_that_are_nan": (lambda: classify(ROWS * torch.nan, ROWS.T), "NaN"),
    **{
        f"a_query_without_words_for_{name}": (
            lambda name=name, text=text: query(open_encoder(name), text),
            "is empty",
        )
        for name, text in (("icons", "\1"), ("web", "\u200b&#8203; \xad\ufe0f"))
    },
    "bytes_as_a_path": (lambda: open_pairs(b"p.csv"), "source must be of type .*, not bytes"),
    "a_number_of_pairs": (lambda: open_pairs(5), "source must be of type .*, not int"),
    "bytes_as_a_text": (lambda: Tokenizer([])(b"cup"), "texts must be of type .*, not bytes"),
    "a_name_without_words": (
        lambda: classifier_weights(*miniclip.load("web")[:2], ["\u200b", "cup"], ["{}"]),
        "a class name is empty",
    ),
    "a_name_that_cannot_be_seen": (
        lambda: classifier_weights(tiny(), Tokenizer([]), ["cup", "\u200b"], ["a {}"]),
        "a class name is empty, or has no words",
    ),
    "a_cell_without_a_name": (
        lambda: classifier_weights(tiny(), Tokenizer([]), ["cup", " "], ["a {}"]),
        "a class name is empty",
    ),
    "patches_of_one_pixel": (
        lambda: create_model("vit_mini", image_size=4096, vision_patch=1),
        "16,777,216 patches, and at most 16,384",
    ),
    "classes_of_another_width": (lambda: classify(ROWS, ROWS), "weights .E, classes"),
    "ids_of_a_bag_that_are_one_row": (
        lambda: miniclip.load("web")[0].encode_text(torch.ones(3, dtype=torch.long)),
        "tokens must be ids .N, L",
    ),
    "a_device_of_another_torch": (lambda: miniclip.load("web", "hpu"), "hpu is not available"),
    "an_array_as_a_picture": (
        lambda: open_pairs([(np.zeros((8, 8, 3)), "cup")]),
        "the bytes of a file, not ndarray",
    ),
    "a_number_as_a_caption": (
        lambda: open_pairs([(Image.new("RGB", (8, 8)), 5)]),
        "a caption is a text or a list of texts, and a number is no text",
    ),
    "a_dict_among_captions": (
        lambda: open_pairs([(Image.new("RGB", (8, 8)), ["a cup", {"raw": "a dog"}])]),
        "a caption is a text or a list of texts, and a dict is no text",
    ),
    "a_list_to_make_batches_from": (
        lambda: batches([("0.png", "a dog")], [0], len, 1, 0, 8, None),
        "pairs must be of type Pairs, not list",
    ),
    "a_mask_of_pictures_as_a_tensor": (
        lambda: encode_images(tiny(), two(), torch.tensor([True, False])),
        "and not True",
    ),
    "features_of_another_width_beside_a_query": (
        lambda: query(open_encoder("web"), "cup", torch.ones(64)),
        "the features of a picture, .128,., not .64,",
    ),
    "one_row_to_search": (lambda: nearest(ROWS[0].numpy(), ROWS[0], 1), "must be .N, E"),
    "merges_of_texts": (lambda: Tokenizer([("a", "b")]), "merges must be pairs of ids: "),
    "a_mask_of_pictures": (lambda: encode_images(tiny(), two(), [True, False]), "and not True"),
    "a_picture_that_is_not_there": (lambda: encode_images(tiny(), two(), [0, 2]), "and not 2"),
    "a_layer_that_encodes_pictures": (
        lambda: encode_images(tiny().visual, two(), [0]),
        "must be miniclip's, and not a ViT",
    ),
    "no_path_of_labelled_pictures": (lambda: open_labelled(""), "source must not be empty"),
    "a_number_of_labelled_pictures": (lambda: open_labelled(5), "source must be of type .*not int"),
    "a_number_among_labelled_tars": (lambda: open_labelled([5]), "or by a list of paths of tars"),
    "no_path_among_labelled_tars": (lambda: open_labelled([""]), "or by a list of paths of tars"),
    "two_splits_of_a_record": (
        lambda: open_pairs([{"image": "0.png", "text": "a", "split": 0, "Split": 1}]),
        "records has two columns called split",
    ),
    "a_dataset_of_arrays": (lambda: open_pairs(Arrays([0])).image(0), "of a file, not ndarray"),
    "a_share_in_words": (
        lambda: interpolate({}, {}, "0.5"),
        "alpha must be of type float, not str",
    ),
    "models_to_average": (lambda: interpolate(tiny(), tiny(), 0.5), "type dict, not CLIP"),
    "a_path_with_a_nul": (lambda: save_openclip(tiny(), "a\0.pt"), "path must not hold a NUL"),
    "a_folder_with_a_nul": (lambda: save_huggingface(tiny(), "a\0"), "folder must not hold a NUL"),
    "the_tokenizer_that_a_file_lacks": (
        lambda: save_huggingface(tiny(), "hf", convert._tokenizer_of(CONFIG)),
        "vocabulary of its own .*, which the file does not hold; use the tokenizer of its check",
    ),
    **{
        f"an_average_of_{name}": (lambda x=x: interpolate({"w": x}, {"w": x}, 0.5), said)
        for name, x, said in (
            ("numbers", 0.5, "must be state dicts, .name: tensor"),
            ("arrays", ROWS.numpy(), "must be state dicts, .name: tensor"),
            ("bytes", BYTES, "8 bits and complex numbers cannot be averaged; convert"),
            ("complex_weights", ROWS * 1j, "8 bits and complex numbers cannot be averaged"),
        )
    },
    **{
        f"{name}_as_the_name_of_a_file_for_open_clip": (
            lambda name=name: save_openclip(tiny_release(pytest.MonkeyPatch()), name, True),
            f"open_clip would not read {name} as this model's weights; end the name in .pt or .safet",
        )
        for name in ("openai", "w.npz")
    },
    "more_than_the_tuned_weights": (lambda: interpolate({}, {}, 50), "from 0 to 1, not 50"),
    "two_states_of_other_shapes": (
        lambda: interpolate({"bias": torch.ones(1)}, {"bias": torch.ones(5)}, 0.5),
        "the same names, shapes and dtypes",
    ),
    "a_state_with_a_tensor_more": (
        lambda: interpolate({}, {"bias": torch.ones(5)}, 0.5),
        "the same names, shapes and dtypes",
    ),
    "an_average_that_overflows": (
        lambda: save_average(
            *("a.pt", 0.5, ("a", "b"), {"w": torch.tensor([torch.inf])}),
            *(tiny(), Tokenizer([]), {}),
        ),
        "w of the average would be infinite",
    ),
    "no_share_of_the_tuned_weights": (lambda: interpolate({}, {}, torch.nan), "0 to 1, not nan"),
    "held_out_pairs_to_curate": (
        lambda: curate(Pairs("held", [["a"]], {"train": []})),
        "held has no training pairs; all are held out",
    ),
    "a_cap_of_no_pairs": (lambda: curate(two(), cap=0), "cap must be at least 1, not 0"),
    "one_name_for_queries": (lambda: curate(two(), names="cap"), "names must be of .*, not str"),
    "no_pairs_a_shard": (lambda: pack(two(), "s", size=0), "has at least 1 pair, not 0"),
    "a_path_as_pairs": (lambda: pack("a.csv", "out"), "pairs must be of type Pairs, not str"),
    "a_layer_to_write_as_onnx": (
        lambda: save_onnx(torch.nn.Linear(1, 1), "x"),
        "model must be of type CLIP, not Linear",
    ),
    "half_a_pair_to_keep": (lambda: keep_pairs(two(), 2.5), "kept must be of .*, not float"),
    "pictures_in_a_list": (lambda: encode_images(tiny(), [ROWS], [0]), "must have a method image"),
    "no_activation": (lambda: miniclip.load("web", activation=""), "activation='' was asked for"),
    "one_name_for_a_list": (
        lambda: classifier_weights(tiny(), Tokenizer([]), "cup", ["{}"]),
        "names must be of type Iterable, not str",
    ),
    "a_truth_as_scale": (lambda: contrastive_loss(ROWS, ROWS, True), "not .*a bool"),
    "half_a_context": (
        lambda: (t := Tokenizer([]), setattr(t, "context_length", 5.5), t("a")),
        "context_length must be .*not 5.5",
    ),
    "a_stem_without_channels": (lambda: create_model("rn_mini", vision_width=1), "at least 2"),
    "fewer_captions_than_pictures": (
        lambda: word_model()(torch.ones(2, 3, 48, 48), torch.tensor([[1, 5, 99]])),
        "2 pictures and 1 captions are no pairs",
    ),
    "no_pairs_to_predict_words_of": (
        lambda: word_model().batch_loss(torch.ones(0, 3, 48, 48), torch.ones(0, 3).long()),
        "0 pictures and 0 captions",
    ),
    "words_beyond_the_vocabulary": (
        lambda: word_model()(torch.ones(1, 3, 48, 48), torch.tensor([[1, 100]])),
        "ids of tokens must be 0 to 99",
    ),
    "words_that_are_floats": (
        lambda: word_model()(torch.ones(1, 3, 48, 48), torch.ones(1, 3)),
        "tokens must be ids",
    ),
    "pictures_of_8_bits_to_predict_words_of": (
        lambda: word_model()(torch.ones(1, 3, 48, 48, dtype=torch.uint8), torch.ones(1, 3).long()),
        "pictures must be floats",
    ),
    "one_text_for_all_pictures_of_siglip": (
        lambda: word_model("sigmoid").features_loss(ROWS, ROWS[:1], torch.tensor(2.3)),
        r"features of .4, 8. and .1, 8. are no pairs",
    ),
    "a_projection_in_capitals": (
        lambda: word_model("contrastive", projection="MLP"),
        "projection must be linear or mlp, not 'MLP'",
    ),
    "a_negative_width_of_an_objective": (
        lambda: word_model(embed_dim=-1),
        "embed_dim is -1, not a whole number",
    ),
    "a_text_as_a_share": (lambda: confidence.wilson("1", 4), "right must be of .*not str"),
    "too_many_trials": (lambda: confidence.clopper_pearson(1, 10**7), "at most 1,000,000"),
    "tables_of_answers": (
        lambda: confidence.mcnemar(np.ones((2, 3)), np.zeros((2, 3))),
        "give two lists",
    ),
    "a_table_of_overlaps": (
        lambda: data_overlap.all_minus_clean(np.ones((2, 2)), np.ones((2, 2))),
        "4 answers do not go with 4 pictures",
    ),
    "a_text_as_confidence": (
        lambda: data_overlap.all_minus_clean([1], [0], "0.9"),
        "confidence must be of type float, not str",
    ),
    "classes_that_are_names": (
        lambda: confidence.scores(ROWS, ["a"] * 4),
        "labels must be numbers",
    ),
    "classes_that_are_halves": (
        lambda: confidence.scores(ROWS, torch.full((4,), 0.5)),
        "labels whole numbers",
    ),
    "arrays_of_similarities": (
        lambda: confidence.scores(ROWS.numpy(), [0] * 4),
        "similarity must be of type Tensor, not ndarray",
    ),
    "a_rank_beyond_the_gallery": (lambda: retrieval.recalls([1, 30], 5), "numbers from 1 to 5"),
    "a_table_of_ranks": (lambda: retrieval.recalls([[1, 2]], 5), "numbers from 1 to 5"),
    "a_gallery_of_another_width": (
        lambda: retrieval.ranks(ROWS, ROWS[:, :3], torch.arange(4), torch.arange(4)),
        "rows of one width",
    ),
    "a_percentage_under_the_shift": (
        lambda: robustness.effective_robustness(0.5, 50, (1, 0)),
        "and not percentages",
    ),
    "accuracies_of_fewer_models": (
        lambda: robustness.baseline([0.1, 0.2, 0.3], [0.1, 0.2]),
        "two lists of one length",
    ),
    "a_mask_as_a_pool": (
        lambda: linear_probe.few_shot([0, 1] * 4, np.ones(8, bool), 1, 0),
        "np.flatnonzero.mask.",
    ),
    "shots_below_zero": (
        lambda: linear_probe.few_shot([0, 1] * 4, range(8), -1, 0),
        "k and seed must be at least 0",
    ),
    "one_picture_in_none": (
        lambda: linear_probe.validation_split([0, 1] * 4, one_in=0),
        "one_in at least 1",
    ),
    "no_strength": (lambda: linear_probe.fit(np.ones((2, 3)), [0, 1], 0), "must be above 0"),
    "small_thumbnails": (
        lambda: near_duplicates.near_duplicates(*[torch.ones(1, 3, 32, 32)] * 2),
        "must be float32 .K, 3, 64, 64.",
    ),
    "thumbnails_that_are_nan": (
        lambda: near_duplicates.near_duplicates(*[torch.full((1, 3, 64, 64), np.nan)] * 2),
        "from 0 to 1",
    ),
    "a_percentage_of_a_run": (
        lambda: recipe.schedule(50, 0.1),
        "must be shares from 0 to 1, not 50",
    ),
    "steps_of_warm_up": (lambda: recipe.schedule(0.5, 2000), "from 0 to 1, not 0.5 and 2000"),
    "a_position_from_the_end": (
        lambda: encode_images(tiny(), two(), [-1]),
        "a whole number from 0 to 1, and not -1",
    ),
    "no_panels": (lambda: plots.lines([], "a.png"), "no panels"),
    "a_crop_of_more_than_all": (
        lambda: training_crop(Image.new("RGB", (9, 9)), 8, np.random.default_rng(0), (1, 2)),
        "scale must be .*not .1, 2",
    ),
    "a_picture_drawn_at_no_size": (
        lambda: redraw(Image.new("RGB", (9, 9)), 8, size=0),
        "size must be above 0",
    ),
    "a_gallery_of_nothing": (lambda: retrieval.chance(0), "at least 1 entry, not 0"),
    "a_curve_without_points": (lambda: linear_probe.shots_worth({}, 0.5), "a curve needs points"),
    "a_curve_from_no_shots": (
        lambda: linear_probe.shots_worth({0: 0.1, 1: 0.9}, 0.5),
        "at numbers above 0",
    ),
    "no_draws_of_shots": (
        lambda: linear_probe.shots_curve(ROWS, [0, 1, 0, 1], {}, seeds=0),
        "seeds must be at least 1, not 0",
    ),
    "a_list_of_pairs_to_embed": (
        lambda: embed_pairs(None, [("a.png", "b")]),
        "encoder must be of type Encoder",
    ),
    "moments_of_numpy": (lambda: stochastic_round(ROWS.numpy()), "a tensor, not a ndarray"),
    "pictures_in_no_columns": (
        lambda: plots.grid([(Image.new("RGB", (8, 8)), "", "", False)], "g.png", 0),
        "columns must be at least 1, not 0",
    ),
}


def rejected(call, says):
    """The towers raise a ValueError that is no UserError."""
    with pytest.raises(ValueError, match=says):
        call()


cases = {name: (call, says, "") for name, (call, says) in TYPED.items()}
table(cases, rejected, "an_argument_that_is_{}", code=0)


@attack(code=0)
def a_folder_in_the_home_of_the_user(folder):
    os.environ["HOME"], tokenizer = str(folder / "home"), our_checkpoint(tiny(), "c.pt")
    save_huggingface(tiny(), "~/a", tokenizer)
    save_huggingface(tiny(), folder=Path("~/b"), tokenizer=tokenizer)
    plots.lines([({1: ([1], [2])}, {})], "~/c.png")  # a curve may be named by a number
    assert (
        {"a", "b", "c.png"} <= {*os.listdir("home")}
        and miniclip.load("~/a")
        and not os.path.exists("~")
    )


@attack(code=0)
def a_checkpoint_that_is_called_safetensors(folder):
    our_checkpoint(tiny(), "c.safetensors")
    miniclip.load("c.safetensors")


@attack(says="the features are not finite")
def finite_weights_whose_features_of_texts_are_not(folder):
    edited(lambda state: [x.fill_(3e38) for k, x in state["model"].items() if "embedding" in k])
    model, tokenizer, _ = miniclip.load("c.pt")
    classifier_weights(model, tokenizer, ["cat", "dog"], ["{}"])


@attack(says="is not on this machine|pip install huggingface_hub", seconds=20, slow=True)
def a_released_name_for_a_user_without_a_home_folder(folder):
    os.environ.pop("HOME"), os.environ.update(HF_HUB_OFFLINE="1")
    pytest.MonkeyPatch().setattr("pwd.getpwuid", lambda number: {}[number])
    miniclip.load("ViT-B/32")
