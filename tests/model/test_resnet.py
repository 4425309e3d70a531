"""Laws of CLIP's ResNet: it starts as its shortcuts, and saving memory changes nothing."""

import functools

import pytest
import torch
from torch import nn

from miniclip.model.resnet import Bottleneck, ResNet
from tests.model.numbers import as_if_trained
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


def small(**options):
    torch.manual_seed(0)
    return as_if_trained(ResNet(6, 32, [2, 1, 1], 8, 4, **options))


def pictures(n=4, size=32):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_no_convolution_but_the_stem_has_a_stride():
    strided = [name for name, m in small().named_modules() if getattr(m, "stride", 1) == (2, 2)]
    assert strided == ["conv1"]


@pytest.mark.parametrize("stride", [1, 2])
def test_both_ways_of_a_block_read_every_pixel(stride):
    block = Bottleneck(8, 8, stride).eval()
    for weight, where in ((0.0, "shortcut"), (1.0, "both")):
        nn.init.constant_(block.bn3.weight, weight)
        x = torch.randn(1, 8, 8, 8).requires_grad_()
        block(x).sum().backward()
        assert (x.grad.abs().sum(1) > 0).all(), where


def test_the_stages_halve_the_grid_and_double_the_channels():
    shapes, model = [], small()
    for block in model.modules():
        if isinstance(block, Bottleneck):
            block.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    model(pictures())
    assert shapes == [(32, 8, 8), (32, 8, 8), (64, 4, 4), (128, 2, 2)]


COMPILED = [
    pytest.mark.slow,  # for seconds
    pytest.mark.skipif(torch.__version__ < (2, 9), reason="counts twice; train.py refuses"),
]


@pytest.mark.parametrize(
    "training, compiled", [(True, False), (False, False), pytest.param(True, True, marks=COMPILED)]
)
def test_checkpointing_changes_no_gradient_and_counts_each_batch_once(training, compiled):
    plain, other = small().train(training), small(checkpointing=True).train(training)
    calls = torch.compile(other, backend="aot_eager", fullgraph=True) if compiled else other
    features = [model(pictures()) for model in (plain, calls)]
    for x in features:
        x.square().sum().backward()
    same = functools.partial(torch.testing.assert_close, **{} if compiled else dict(rtol=0, atol=0))
    same(*features)
    for (name, a), b in zip(plain.named_parameters(), other.parameters()):
        same(b.grad, a.grad, msg=name)
    for (name, a), b in zip(plain.named_buffers(), other.buffers()):
        same(b, a, msg=name)


@pytest.mark.parametrize("checkpointing", [True, False])
def test_only_checkpointing_runs_a_block_again_for_the_backward_pass(checkpointing):
    model, runs = small(checkpointing=checkpointing), []
    model.layer1[1].register_forward_pre_hook(lambda *_: runs.append(1))
    model(pictures()).sum().backward()
    assert len(runs) == 1 + checkpointing


def test_what_the_memory_layout_is_changes_nothing():
    model, x = small().eval(), pictures()
    other = x.contiguous(memory_format=torch.channels_last)
    error = (model(x) - model(other)).norm() / model(x).norm()
    assert error <= tower_error(model, torch.float32), f"{error:.1e}"
