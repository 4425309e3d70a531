"""Both towers leave torch with a free batch size: torch.export, and ONNX where onnxruntime is there."""

import pytest
import torch

from miniclip.model.clip import create_model

SIZES = dict(vision_layers=1, vision_width=32, text_layers=1, text_width=32, embed_dim=8)


class Text(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.encode_text(x)


@pytest.fixture(params=["picture", "text"])
def tower(request):
    """(a tower of a small ViT, a function: batch size -> inputs)."""
    torch.manual_seed(0)
    model = create_model("vit_mini", vocab_size=520, image_size=32, **SIZES).eval()
    if request.param == "picture":
        return model.visual, lambda n: torch.randn(n, 3, 32, 32)
    return Text(model), lambda n: torch.randint(1, 519, (n, 32))


def free_batch(model, x):
    return torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def test_an_exported_tower_takes_any_batch(tower):
    model, inputs = tower
    program = free_batch(model, inputs(2)).module()
    for n in (1, 3, 7):
        x = inputs(n)
        torch.testing.assert_close(program(x), model(x))


@pytest.mark.slow
def test_onnx_takes_any_batch(tower, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, inputs = tower
    torch.onnx.export(free_batch(model, inputs(2)), (), tmp_path / "tower.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "tower.onnx")
    [name] = [entry.name for entry in session.get_inputs()]
    for n in (2, 5):
        x = inputs(n)
        [found] = session.run(None, {name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-5)
