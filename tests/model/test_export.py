"""Both towers leave torch with a free batch size: torch.export, and ONNX where onnxruntime is there."""

import pytest
import torch

from miniclip.model.text import TextTransformer
from miniclip.model.vit import ViT


@pytest.fixture(params=["picture", "text"])
def tower(request):
    """(a small tower, a function: batch size -> inputs)."""
    torch.manual_seed(0)
    if request.param == "picture":
        return ViT(8, 32, 16, 32, 1, 4).eval(), lambda n: torch.randn(n, 3, 32, 32)
    return TextTransformer(8, 32, 1, 4, 520, 16).eval(), lambda n: torch.randint(1, 519, (n, 16))


def free_batch(model, x):
    return torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def test_an_exported_tower_takes_any_batch(tower):
    model, inputs = tower
    program = free_batch(model, inputs(2)).module()
    for x in map(inputs, (1, 3, 7)):
        torch.testing.assert_close(program(x), model(x))


@pytest.mark.slow
def test_onnx_takes_any_batch(tower, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, inputs = tower
    torch.onnx.export(free_batch(model, inputs(2)), (), tmp_path / "tower.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "tower.onnx")
    for x in map(inputs, (2, 5)):
        [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-5)
