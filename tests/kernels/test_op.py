"""The loss under torch.compile: one graph, the same numbers; and what a missing Triton leaves."""

import subprocess
import sys

import pytest
import torch

from kernels import op
from miniclip.loss import contrastive_loss
from tests.losses import batch, definition, grads
from tests.rounding import assert_within, loss_bounds

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_loss_is_one_graph_with_the_same_numbers(dtype):
    compiled = torch.compile(contrastive_loss, fullgraph=True, backend="aot_eager")
    pairs = batch(20, 12, "matched")
    bounds = loss_bounds(*pairs, 3.0, dtype)
    assert_within(grads(compiled, *pairs, 3.0, dtype), grads(definition, *pairs, 3.0), bounds)


def test_the_operators_keep_torchs_rules():
    image, text = (x.float().requires_grad_() for x in batch(6, 5))
    scale = torch.tensor(2.0, requires_grad=True)
    how = "torch", torch.float32, 4
    torch.library.opcheck(op.contrastive, (image, text, scale, *how))
    _, *saved = op.contrastive(image.detach(), text.detach(), scale.detach(), *how)
    arguments = torch.ones(()), saved, "torch", torch.float32, torch.float16, 4
    torch.library.opcheck(op.contrastive_backward, arguments)


def test_a_second_derivative_of_the_operator_is_refused_too():
    image, text = (x.float().requires_grad_() for x in batch(6, 5))
    loss = op.contrastive(image, text, torch.tensor(2.0), "torch", torch.float32, 0)[0]
    (d_image,) = torch.autograd.grad(2 * loss, image, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        torch.autograd.grad(d_image.sum(), text)


def test_the_loss_does_not_need_triton():
    code = """
import sys
sys.modules["triton"] = None  # importing it now fails
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else found(name, *rest)
import kernels.reference, kernels.contrastive, torch
from miniclip.loss import contrastive_loss
x = torch.eye(4)
contrastive_loss(x, x, torch.tensor(1.0))
try:
    contrastive_loss(x, x, torch.tensor(1.0), backend="triton")
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "needs Triton installed" in done.stdout, done.stderr
