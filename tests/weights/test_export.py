"""A model for other programs: ONNX in 32 and 16 bits, Hugging Face, open_clip, by one command."""

from unittest import mock

import pytest
import torch

import miniclip
from miniclip.__main__ import main
from miniclip.model.clip import create_model
from miniclip.objectives import create
from miniclip.weights import __main__ as export
from tests.model.numbers import batch
from tests.shared import must_refuse
from tests.weights.models import our_checkpoint, same_weights, tiny_release


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", ["icons", "vit.pt"])
def test_both_towers_in_onnx_give_the_features_of_any_batch(
    tmp_path, monkeypatch, recwarn, name, half
):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    own = dict(vision_layers=1, text_layers=1, vocab_size=520, projection="mlp")
    our_checkpoint(create("contrastive", "vit_mini", **own), "vit.pt")
    if half:
        assert main(["weights", "export", name, "onnx", "--format", "onnx", "--half"]) == 0
        assert not [warning for warning in recwarn if warning.category is FutureWarning]
    else:
        with torch.autocast("cpu", torch.bfloat16):  # which must not get into the files
            export.save_onnx(miniclip.load(name)[0], "onnx")
    model = miniclip.load(name)[0]
    images, tokens = batch(model, 5)
    for name, x, want in (
        ("image", images.half() if half else images, model.encode_image(images)),
        ("text", tokens, model.encode_text(tokens)),
    ):
        session = onnxruntime.InferenceSession(f"onnx/{name}.onnx")
        for part in (slice(None), slice(0, 1)):
            [found] = session.run(None, {session.get_inputs()[0].name: x[part].numpy()})
            error = (torch.from_numpy(found).float() - want[part]).norm() / want[part].norm()
            assert error < (0.02 if half else 1e-5), (name, error)


@pytest.mark.slow
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu), "meta"])
def test_a_model_is_exported_from_any_device(tmp_path, device):
    pytest.importorskip("onnxscript")
    model = create_model("vit_mini", 520, vision_layers=1, text_layers=1)
    with torch.device(device):  # as after torch.set_default_device in a notebook
        export.save_onnx(model.to(device if device == "cuda" else "cpu"), tmp_path)
    assert (tmp_path / "text.onnx").stat().st_size


@pytest.mark.parametrize("tower", ["image", "text"])
def test_an_exported_tower_takes_any_batch(tower):
    model = create_model("vit_mini", 520, vision_layers=1, text_layers=1).eval()
    images, tokens = batch(model, 7)
    module = (export._Image if tower == "image" else export._Text)(model)
    x = images if tower == "image" else tokens
    free = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (x[:2],), dynamic_shapes=free).module()
    for part in (x[:1], x[:3], x):
        torch.testing.assert_close(program(part), module(part))


def test_a_checkpoint_becomes_a_folder_of_hugging_face(tmp_path, refused):
    model = create_model("vit_mini", 520, vision_layers=1, text_layers=1).eval()
    our_checkpoint(model, tmp_path / "c.pt")
    arguments = ["weights", "export", str(tmp_path / "c.pt"), str(tmp_path / "hf")]
    assert main([*arguments, "--format", "huggingface"]) == 0
    assert len({path.stat().st_mode for path in (tmp_path / "hf").iterdir()}) == 1
    assert same_weights(model, miniclip.load(tmp_path / "hf")[0])
    assert "--half only applies" in refused(main, *arguments, "--format", "huggingface", "--half")


def test_a_released_model_becomes_a_file_of_open_clip(tmp_path, monkeypatch, capsys):
    model = tiny_release(monkeypatch)
    miniclip.weights.save_openclip(model, tmp_path / "a.pt", any_tokenizer=True)
    target = str(tmp_path / "b.safetensors")
    assert main(["weights", "export", str(tmp_path / "a.pt"), target, "--format", "open_clip"]) == 0
    assert "open_clip's Tiny-quickgelu" in capsys.readouterr().out
    assert same_weights(model, miniclip.load(target)[0])


def test_a_refused_export_leaves_the_model_as_it_is(tmp_path):
    pytest.importorskip("onnxscript")
    model = create_model("vit_mini", 520, vision_layers=1, text_layers=1)
    (tmp_path / "text.onnx").write_text("mine")
    must_refuse("text.onnx exists", export.save_onnx, model, tmp_path, half=True)
    assert (
        model.dtype == torch.float32 and model.training and not (tmp_path / "image.onnx").exists()
    )
    model.token_embedding.weight.data *= 1e6
    must_refuse(
        "float16 cannot hold the weights", export.save_onnx, model, tmp_path / "other", half=True
    )
    model.visual.proj.data[0, 0] = float("nan")
    must_refuse("NaN|number", export.save_onnx, model, tmp_path / "other")


def test_a_tower_that_cannot_be_exported_leaves_no_file(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(torch.export, "export", mock.Mock(side_effect=["a graph", RuntimeError]))
    made = mock.Mock(**{"model_proto.SerializeToString.return_value": b"a graph"})
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: made)
    with pytest.raises(RuntimeError):
        export.save_onnx(create_model("vit_mini", 520, vision_layers=1, text_layers=1), tmp_path)
    assert not [*tmp_path.iterdir()]
