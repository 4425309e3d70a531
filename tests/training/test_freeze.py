"""A frozen tower gets no gradient and does not change; the other one learns as it would in one go."""

import copy

import pytest
import torch

from miniclip import create_model
from miniclip.loss import contrastive_loss
from miniclip.training.freeze import freeze, tower_of
from miniclip.training.grad_cache import microbatch_step
from tests.model.numbers import as_if_trained, assert_same_gradients, batch, gradients
from tests.shared import must_refuse

pytestmark = pytest.mark.numerics


def frozen_model(name, tower, **how):
    torch.manual_seed(0)
    model = as_if_trained(create_model(name, vocab_size=600, **how).train().double())
    freeze(model, tower)
    return model


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "name, tower",
    [("vit_mini", "image"), ("vit_mini", "text"), ("rn_mini", "image")],
)
def test_parts_give_the_gradients_of_the_whole_and_none_to_the_frozen_tower(
    name, tower, checkpointing
):
    """With its batch norms frozen, a ResNet's parts are normalized as the whole batch is."""
    model = frozen_model(name, tower, checkpointing=checkpointing)
    before = copy.deepcopy(model.state_dict())
    images, tokens = batch(model, 7, dtype=torch.float64)
    image, text, _ = model(images, tokens, normalize=False)
    contrastive_loss(image, text, model.logit_scale).backward()
    whole = gradients(model)
    microbatch_step(model, list(zip(images.split(3), tokens.split(3))), contrastive_loss)
    parts = gradients(model)
    wanted = {n for n, _ in model.named_parameters() if tower_of(n) != tower}
    assert whole.keys() == parts.keys() == wanted and "logit_scale" in wanted
    assert_same_gradients(parts, whole)
    changed = [n for n, x in model.state_dict().items() if not torch.equal(x, before[n])]
    assert not changed, f"two passes changed {changed[:3]}"


@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_compiled_model_is_frozen_alike_and_another_word_than_a_tower_s_is_refused(tower):
    model = torch.compile(create_model("rn_mini", vocab_size=600).train())
    freeze(model, tower)
    learns = {n for n, p in model._orig_mod.named_parameters() if p.requires_grad}
    assert learns == {n for n, _ in model._orig_mod.named_parameters() if tower_of(n) != tower}
    must_refuse("image or text, not 'visual'", freeze, model, "visual")
    wrapped = torch.nn.DataParallel(model._orig_mod)
    must_refuse("miniclip's, and not a DataParallel", freeze, wrapped, tower)


def test_synchronized_batch_norms_of_a_frozen_tower_stay_frozen():
    """--sync-bn replaces them after the tower was frozen; it needs GPUs, so only this is tested."""
    model = frozen_model("rn_mini", "image")
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    norms = [m for m in model.visual.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert norms and not any(norm.training for norm in norms)
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
