"""Laws of CLIP's ResNet: it starts as its shortcuts, and saving memory changes nothing."""

import pytest
import torch
from torch import nn

from miniclip.model.resnet import Bottleneck, ResNet
from tests.rounding import tower_error

pytestmark = pytest.mark.numerics


def small(**options):
    torch.manual_seed(0)
    model = ResNet(6, 32, [2, 1, 1], 8, 4, **options)
    for block in model.modules():
        if isinstance(block, Bottleneck):
            nn.init.ones_(block.bn3.weight)  # as if trained: a fresh block is its shortcut
    return model


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


@pytest.mark.parametrize("training", [True, False])
def test_checkpointing_changes_no_bit(training):
    models = [small().train(training), small(checkpointing=True).train(training)]
    features = [model(pictures()) for model in models]
    assert torch.equal(*features)
    for x in features:
        x.square().sum().backward()
    for (name, a), b in zip(models[0].named_parameters(), models[1].parameters()):
        assert torch.equal(a.grad, b.grad), name
    for (name, a), b in zip(models[0].named_buffers(), models[1].buffers()):
        assert torch.equal(a, b), f"{name}: counted twice"


@pytest.mark.parametrize("checkpointing", [True, False])
def test_only_checkpointing_runs_a_block_again_for_the_backward_pass(checkpointing):
    model, runs = small(checkpointing=checkpointing), []
    model.layer1[1].register_forward_pre_hook(lambda *_: runs.append(1))
    model(pictures()).sum().backward()
    assert len(runs) == 1 + checkpointing


@pytest.mark.slow  # compiles for seconds
@pytest.mark.skipif(torch.__version__ < (2, 9), reason="counts twice before 2.9; train.py refuses")
def test_compiled_checkpointing_counts_each_batch_once_and_has_the_same_gradients():
    plain, checkpointed = small(), small(checkpointing=True)
    compiled = torch.compile(checkpointed, backend="aot_eager", fullgraph=True)
    for model in (plain, compiled):
        model(pictures()).square().sum().backward()
    for (name, a), b in zip(plain.named_parameters(), checkpointed.parameters()):
        torch.testing.assert_close(b.grad, a.grad, msg=lambda said: f"{name}: {said}")
    for (name, a), b in zip(plain.named_buffers(), checkpointed.buffers()):
        torch.testing.assert_close(b, a, msg=lambda said: f"{name}: {said}")


def test_what_the_memory_layout_is_changes_nothing():
    model, x = small().eval(), pictures()
    other = x.contiguous(memory_format=torch.channels_last)
    error = (model(x) - model(other)).norm() / model(x).norm()
    assert error <= tower_error(model, torch.float32), f"{error:.1e}"
