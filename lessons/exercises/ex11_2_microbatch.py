"""11  A batch larger than memory. Read lessons/11_recipe.md, then make this file green.

    pytest lessons/exercises/ex11_2_microbatch.py -x

Begin with the three stages. Then solve the lesson's 'Four problems' one by one, as the laws below do.
In the context `frozen_bn_stats(model)` batch norms do not update their running averages. DDP has
the model as .module. Gradients of a part whose forward and backward pass are both in its context
no_sync() are not averaged over ranks.
"""

import contextlib

import pytest
import torch

from miniclip import create_model
from miniclip.loss import contrastive_loss
from miniclip.model.resnet import frozen_bn_stats  # noqa: F401  (for you)

ANSWER = "miniclip.training.grad_cache:microbatch_step"


def microbatch_step(model, parts, loss_fn, prepare=tuple, autocast=contextlib.nullcontext):
    """Compute the gradients of loss_fn over the whole batch, part by part, and add them to the
    .grad of the model's parameters.

    model: model(images, tokens, normalize=False) returns image, text and scale; it may be inside
    DDP. It must draw no random numbers (dropout), because both passes need the same features, and
    nothing checks this. parts: a list of (images, tokens). loss_fn: a function of image, text and
    logit_scale that returns a 0-d loss. prepare: a function of a part that returns images
    (M, 3, H, W) and tokens (M, L) on the model's device, so that other parts can wait on the CPU.
    By default a part is used as it is. autocast: a function that returns the context of each
    forward pass. An argument that loss_fn does not use has a gradient of zeros. Raises UserError
    under torch.no_grad.

    Returns the detached (loss, image, text, scale) of the whole batch: image and text are (N, E),
    scale is 0-d.
    """
    raise NotImplementedError  # about 25 lines


class Watched(torch.nn.Module):
    """The model in a wrapper like DDP that records how it is called."""

    def __init__(self, model):
        super().__init__()
        self.module, self.quiet, self.calls, self.scales = model, False, [], []

    @contextlib.contextmanager
    def no_sync(self):
        self.quiet = True
        yield
        self.quiet = False

    def forward(self, images, tokens, normalize=True):
        self.calls.append((len(images), torch.is_grad_enabled(), self.quiet))
        image, text, scale = self.module(images, tokens, normalize)
        if scale.requires_grad:  # called when a backward pass brings a gradient to this output
            scale.register_hook(lambda gradient, quiet=self.quiet: self.scales.append(quiet))
        return image, text, scale


def small(name="vit_mini"):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    how = dict(vision_layers=1) if name == "vit_mini" else {}
    # float64: its rounding (1e-16) stays small even where most of a gradient cancels
    model = create_model(name, vocab_size=600, text_layers=1, **how).train().double()
    for key, p in model.named_parameters():
        if key.endswith("bn3.weight"):  # a new bottleneck multiplies its batch norm by zero
            torch.nn.init.ones_(p)
    return model


def batch(model, n):
    size = model.config["image_size"]
    images, tokens = torch.randn(n, 3, size, size).double(), torch.randint(1, 598, (n, 5))
    tokens[:, -1] = 599
    return images, tokens


def split(images, tokens, sizes):
    return list(zip(images.split(sizes), tokens.split(sizes)))


def whole(model, images, tokens):
    """(loss, gradients by name) of the batch in one go."""
    model.zero_grad()
    image, text, _ = model(images, tokens, normalize=False)
    loss = contrastive_loss(image, text, model.logit_scale)
    loss.backward()
    return loss.detach(), gradients(model)


def gradients(model):
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert not missing, f"no gradient for {missing}"
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def close(got, want, factor=1.0):
    scale = max(g.abs().max() for g in want.values())
    for name in want:
        error = (got[name] - factor * want[name]).abs().max() / scale
        assert error < 1e-9, (
            f"the gradient of {name} is off by {error:.1e} of the largest gradient: the loss must see all "
            "pairs at once, and gradients add up in .grad (lesson 11, section 'A batch larger than memory')"
        )


def test_the_loss_is_that_of_the_whole_batch():
    model = small()
    images, tokens = batch(model, 6)
    loss, _ = whole(model, images, tokens)
    parts = split(images, tokens, (2, 2, 2))
    got, image, text, scale = microbatch_step(model, parts, contrastive_loss)
    assert abs(got - loss) < 1e-9, f"the loss is {got:.6f}, but that of the whole batch {loss:.6f}"
    shapes = (*image.shape,), (*text.shape,)
    assert shapes == ((6, 128),) * 2, f"image and text are {shapes}, not the whole batch"
    assert not image.requires_grad, "the features are not detached"
    right = model.logit_scale.exp().item()
    assert scale == right, f"the scale is {scale:.4f}, but exp(logit_scale) is {right:.4f}"


def test_every_parameter_gets_a_gradient():
    model = small()
    microbatch_step(model, split(*batch(model, 4), (2, 2)), contrastive_loss)
    gradients(model)


def agree(sizes):
    """The gradients of parts of these sizes are those of the whole batch."""
    model = small()
    images, tokens = batch(model, sum(sizes))
    _, want = whole(model, images, tokens)
    model.zero_grad()
    microbatch_step(model, split(images, tokens, sizes), contrastive_loss)
    close(gradients(model), want)


@pytest.mark.parametrize("sizes", [(4,), (2, 2, 2), (1, 1, 1, 1)])
def test_the_gradients_are_those_of_the_whole_batch(sizes):
    agree(sizes)


@pytest.mark.parametrize("sizes", [(2, 2, 1), (1, 3)])
def test_parts_may_have_different_sizes(sizes):
    agree(sizes)


def test_gradients_are_added_to_those_that_are_there():
    model = small()
    images, tokens = batch(model, 4)
    _, want = whole(model, images, tokens)
    microbatch_step(model, split(images, tokens, (2, 2)), contrastive_loss)
    close(gradients(model), want, factor=2)


def test_one_part_at_a_time_and_features_first_without_gradients():
    model = Watched(small())
    microbatch_step(model, split(*batch(model.module, 5), (2, 2, 1)), contrastive_loss)
    counts = [count for count, *_ in model.calls]
    assert counts == [2, 2, 1, 2, 2, 1], f"two loops over parts of 2, 2, 1, but had {counts} pairs"
    keeps = [keeps for _, keeps, _ in model.calls]
    assert keeps == [False] * 3 + [True] * 3, f"whether a forward pass keeps activations: {keeps}"


def test_ranks_average_once_at_the_last_part():
    model = Watched(small())
    microbatch_step(model, split(*batch(model.module, 5), (2, 2, 1)), contrastive_loss)
    quiet = [quiet for _, keeps, quiet in model.calls if keeps]
    assert quiet == [True, True, False], f"no_sync() is for all parts but the last, not {quiet}"


def test_the_scale_s_gradient_goes_through_the_last_part_s_output():
    model = Watched(small())
    microbatch_step(model, split(*batch(model.module, 5), (2, 2, 1)), contrastive_loss)
    assert model.scales, (
        "no gradient came through the model's output `scale`: DDP waits for logit_scale's gradient in the last "
        "part's backward pass, and does not see what is added to logit_scale.grad by hand"
    )
    assert model.scales == [False], (
        f"a gradient came through `scale` {len(model.scales)} times, inside no_sync(): {model.scales}; "
        "once is enough, in the last part's pass, which is the one that is averaged"
    )


def test_each_part_is_prepared_just_before_its_forward_pass():
    model, order = Watched(small()), []
    images, tokens = batch(model.module, 4)

    def prepare(part):  # the parts are not yet in the towers' dtype
        order.append((len(model.calls), part[0].dtype))
        return part[0].double(), part[1]

    parts = split(images.float(), tokens, (2, 2))
    microbatch_step(model, parts, contrastive_loss, prepare)
    before = [calls for calls, _ in order]
    assert before == [0, 1, 2, 3], f"forward passes before each call of prepare: {before}"
    assert {dtype for _, dtype in order} == {torch.float32}, "prepare was given a prepared part"


def test_autocast_is_open_in_each_forward_pass_and_nowhere_else():
    model, opened, inside = small(), [], []

    @contextlib.contextmanager
    def autocast():
        opened.append(True)
        yield
        opened[-1] = False

    def watched(image, text, logit_scale):
        inside.append(("loss", any(opened)))
        image.register_hook(lambda gradient: inside.append(("backward", any(opened))))
        return contrastive_loss(image, text, logit_scale)

    def forward(module, args, kwargs):
        inside.append(("forward", any(opened)))

    model.register_forward_pre_hook(forward, with_kwargs=True)
    model.visual.conv1.weight.register_hook(lambda g: inside.append(("backward", any(opened))))
    parts = split(*batch(model, 4), (2, 2))
    microbatch_step(model, parts, watched, autocast=autocast)
    assert len(opened) == 4, f"autocast was opened {len(opened)} times for 4 forward passes"
    want = {("forward", True), ("loss", False), ("backward", False)}
    assert set(inside) == want, f"where autocast was open: {sorted(set(inside))}"


def test_batch_norm_counts_each_part_once():
    model = small("rn_mini")
    images, tokens = batch(model, 4)
    _, want = whole(model, images, tokens)
    model.zero_grad()
    before = model.visual.bn1.num_batches_tracked.item()
    microbatch_step(model, [(images, tokens)], contrastive_loss)
    close(gradients(model), want)
    counted = model.visual.bn1.num_batches_tracked.item() - before
    assert counted == 1, f"batch norm updated its averages {counted} times for one part"


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_the_loss_is_that_of_the_whole_batch": (
        "How often do you call loss_fn, and on how many pairs?",
        "Once, on the features of all parts together: only then does each picture choose among all texts "
        "(lesson 11, section 'A batch larger than memory'). What you return is detached from the graph.",
        "image, text = (torch.cat(side) for side in zip(*features)); loss = loss_fn(image, text, logit_scale)",
    ),
    "test_every_parameter_gets_a_gradient": (
        "Which parameter has none, and through which of the model's three outputs would its gradient come?",
        "logit_scale is in no tower. The loss of stage 2 has a gradient for it, which the model's output "
        "`scale` takes on; the towers' parameters get theirs through image and text.",
        "torch.autograd.backward([image, text, scale.log()], [its d_image, its d_text, d_scale]) in the last "
        "part, where scale is the model's own output.",
    ),
    "test_the_gradients_are_those_of_the_whole_batch": (
        "What do you give to the backward pass of a part, and is it this part's?",
        "Stage 2 has a gradient for each feature of the whole batch; each part takes its own rows of it, as "
        "they are: the loss is a mean over all pairs already.",
        "d_image, d_text, d_scale = torch.autograd.grad(loss, (image, text, logit_scale)), after "
        "requires_grad_() on all three; then a part takes d_image.split(sizes)[k] and d_text.split(sizes)[k].",
    ),
    "test_parts_may_have_different_sizes": (
        "How many rows has the last part?",
        "The parts need not be equally large, so cut the gradients where the features were joined.",
        "sizes = [len(image) for image, _ in features], then d_image.split(sizes).",
    ),
    "test_gradients_are_added_to_those_that_are_there": (
        "What has become of the gradients that were in .grad before?",
        "The docstring says `add`. torch.autograd.backward adds up in .grad by itself, so nothing is set to "
        "zero here, and nothing is assigned.",
        "No zero_grad() in this function.",
    ),
    "test_one_part_at_a_time_and_features_first_without_gradients": (
        "When does a forward pass keep its activations?",
        "In the first loop nobody goes backward, so nothing needs to be kept. Otherwise all parts fill the "
        "memory at once, which you wanted to avoid.",
        "The first loop is inside torch.no_grad(), the second is not.",
    ),
    "test_ranks_average_once_at_the_last_part": (
        "What does DDP do in each backward pass, and how often is it needed?",
        "All parts but the last are inside model.no_sync(), with their forward pass. A model that is not "
        "inside DDP has no such method (the lesson's 'Four problems').",
        'no_sync = getattr(model, "no_sync", contextlib.nullcontext), then '
        "with contextlib.nullcontext() if last else no_sync(): around both passes.",
    ),
    "test_the_scale_s_gradient_goes_through_the_last_part_s_output": (
        "Where does logit_scale's gradient enter, and in which part?",
        "It enters once, through the model's output, in the last part, where DDP averages. The output is the "
        "exponential of logit_scale, so the gradient belongs to the output's logarithm.",
        "In the last part append scale.log() to the outputs and d_scale to their gradients.",
    ),
    "test_each_part_is_prepared_just_before_its_forward_pass": (
        "How many prepared parts lie on the device at the same time?",
        "One is enough, and only one fits: prepare it just before its forward pass, in both loops.",
        "Call prepare(part) in the function that also calls the model.",
    ),
    "test_autocast_is_open_in_each_forward_pass_and_nowhere_else": (
        "How many times is autocast() called, and what is inside?",
        "Once for each forward pass, with nothing but the call of the model inside. The loss and the "
        "backward passes stay outside.",
        "with autocast(): return model(images, tokens, normalize=False)",
    ),
    "test_batch_norm_counts_each_part_once": (
        "In how many of your forward passes do batch norms update their averages?",
        "A part goes through the towers twice and should be counted once.",
        "The first loop is inside frozen_bn_stats(model) too; of DDP it is model.module.",
    ),
}
DIFFERS = (
    "The library skips outputs that need no gradient, so it also works where one tower is frozen. It "
    "writes the call of the towers once, as a function of a part, and both loops use it."
)
