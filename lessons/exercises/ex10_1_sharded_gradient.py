"""10  The sharded gradient. Read lessons/10_sharding.md, then make this file green.

    pytest lessons/exercises/ex10_1_sharded_gradient.py -x

The forward pass is there (kernels/contrastive.py); you write the backward pass. `saved` holds, in this
order:

    rows, row_norm          this rank's images as unit rows (M, E), and their lengths (M,)
    columns, column_norm    the texts of all ranks as unit rows (N, E); the lengths of *this rank's* texts (M,)
    scale_log2              the scale in bits: exp(logit_scale) / LN2
    four more vectors       which ops.gradient takes as they are

You need:

    ops.default_chunk(number of columns, dtype of rows) -> what `chunk` is where it is None
    ops.gradient(rows, columns, scale_log2, *four_vectors, offset, chunk) -> g_rows, g_columns, unit
        unit * g_rows is G Y and unit * g_columns is G^T X for this rank's rows of G, as in lesson 09
    ops.normalize_backward(g, unit_rows, norm, factor, dtype) -> gradient by x, row_dot
        takes factor * g back through x / |x|. If the factor has no `world` in it, the sum of row_dot
        over the images of all ranks is the scale's gradient
    collectives.scatter (N, D) -> (M, D), summed over ranks; .total, a sum over ranks, the same on all;
    .offset, this rank's first column; .world
"""

import pytest
import torch

from kernels import reference
from kernels.contrastive import forward
from kernels.softmax import LN2  # noqa: F401  (for you)
from miniclip.distributed.simulated_ranks import on_ranks
from miniclip.loss import clip_loss

ANSWER = "kernels.contrastive:backward"


def backward(upstream, saved, ops, collectives, dtypes, chunk):
    """The gradients of image, text and logit_scale. upstream: 0-d; dtypes: of image and of text.

    The gradient of logit_scale is the true one. The gradients of image and text, (M, E), are
    `world` times the true ones, because DDP averages the gradients of parameters over ranks.
    """
    raise NotImplementedError  # about 10 lines


worlds = pytest.mark.parametrize("counts", [[1], [2, 2], [1, 4], [3, 1, 2]])  # each rank's pairs
scales = pytest.mark.parametrize("seed, log_scale", [(0, 0.0), (1, 2.66), (2, 4.6)])


def batch(n, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, 5, generator=g, dtype=torch.float64)


def truth(image, text, log_scale):
    """Gradients of the loss of the whole batch, on one process, by autograd."""
    leaves = [t.clone().requires_grad_() for t in (image, text, log_scale)]
    clip_loss(*leaves).backward()
    return [leaf.grad for leaf in leaves]


def yours(counts, image, text, log_scale, upstream=1.0):
    """What `backward` gives on each rank: [(d_image, d_text, d_scale), ...]."""
    torch.set_num_threads(1)
    dtypes = image.dtype, text.dtype

    def work(rank):
        mine = image[rank.rows], text[rank.rows]
        _, saved = forward(*mine, log_scale, reference, rank, torch.float64, None)
        return backward(torch.tensor(upstream), saved, reference, rank, dtypes, None)

    return on_ranks(counts, work)


READ = "Lesson 10, section 'What must be sent back'."
FACTOR = f"If it is wrong by one factor, think of what DDP does. {READ}"
PARTS = f"If by none, a part from other ranks is missing, or rows are another rank's. {FACTOR}"
SCALE = f"It is a sum over the rows of all ranks, and DDP averages it as it is. {READ}"


def close(got, true, what, read):
    assert got.shape == true.shape, f"{what} has shape {(*got.shape,)}, not {(*true.shape,)}"
    equal = torch.allclose(got, true, rtol=1e-9, atol=1e-11)
    assert equal, f"{what} {fault(got, true)} {read}"


def fault(got, true):
    """Whether a wrong gradient has a wrong factor, or more than that."""
    size = true.norm().item()
    if not got.isfinite().all() or size == 0:
        return f"should be {true.flatten()[:3].tolist()}..., and is {got.flatten()[:3].tolist()}..."
    factor = ((got * true).sum() / size**2).item()
    if torch.allclose(got, factor * true, rtol=1e-6, atol=1e-9):
        return f"is {factor:.3g} times the truth."
    error = ((got - true).norm() / size).item()
    return f"is wrong by {error:.0%} of its size, and not by a common factor."


@scales
@pytest.mark.parametrize("n", [1, 2, 6])
def test_on_one_rank_it_is_the_gradient(n, seed, log_scale):
    pairs = *batch(n, seed), torch.tensor(log_scale).double()
    for got, true, name in zip(yours([n], *pairs)[0], truth(*pairs), ("image", "text", "scale")):
        what = f"On one rank, with {n} pairs, the gradient by {name}"
        close(got.reshape(true.shape), true, what, "See the top of this file.")


@worlds
@scales
def test_image_gradients_are_world_times_the_truth(counts, seed, log_scale):
    pairs = *batch(sum(counts), seed), torch.tensor(log_scale).double()
    got = torch.cat([rank[0] for rank in yours(counts, *pairs)])
    what = f"With shards of {counts} the gradient by image, divided by the number of ranks,"
    close(got / len(counts), truth(*pairs)[0], what, FACTOR)


@worlds
@scales
def test_text_gradients_are_summed_over_ranks(counts, seed, log_scale):
    pairs = *batch(sum(counts), seed), torch.tensor(log_scale).double()
    got = torch.cat([rank[1] for rank in yours(counts, *pairs)])
    what = f"With shards of {counts} the gradient by text, divided by the number of ranks,"
    close(got / len(counts), truth(*pairs)[1], what, PARTS)


@worlds
@scales
def test_the_scale_s_gradient_is_the_true_one_on_every_rank(counts, seed, log_scale):
    pairs = *batch(sum(counts), seed), torch.tensor(log_scale).double()
    for k, rank in enumerate(yours(counts, *pairs)):
        what = f"With shards of {counts} the gradient by the scale on rank {k}"
        close(rank[2].reshape(()), truth(*pairs)[2], what, SCALE)


@pytest.mark.parametrize("upstream", [0.0, -2.0, 65536.0])
def test_it_is_multiplied_by_the_upstream_gradient(upstream):
    pairs = *batch(5, 0), torch.tensor(2.0).double()
    once, times = yours([2, 3], *pairs), yours([2, 3], *pairs, upstream=upstream)
    for rank, other in zip(once, times):
        for a, b, name in zip(rank, other, ("image", "text", "scale")):
            what = f"With the upstream gradient {upstream} the gradient by {name}"
            close(b, upstream * a, what, "`upstream` is a factor of all three.")


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_on_one_rank_it_is_the_gradient": (
        "Which numbers stand between g_rows and the true gradient by a unit row?",
        "The similarities in bits are scale_log2 times a cosine, their gradient is in nats, `unit` undoes"
        " what the buffer was multiplied by, and the loss is a mean over all columns. See lesson 09.",
        "On one rank the factor of ops.normalize_backward is upstream * scale_log2 * LN2 * unit / N, and"
        " d_scale is the sum of the images' row_dot",
    ),
    "test_image_gradients_are_world_times_the_truth": (
        "Divide your gradient by the true one. What is the quotient on two ranks, and on four?",
        "A picture's row lies on its own rank, so nothing has to be summed. But DDP will average, see 'A"
        " factor W' in the lesson.",
        "Multiply the factor by collectives.world",
    ),
    "test_text_gradients_are_summed_over_ranks": (
        "g_columns has a row for every caption of the batch. What do the rows of one rank hold, and which of"
        " them does this rank return?",
        "Each rank has a part of every caption's gradient; see 'What must be sent back'. And `columns` holds"
        " all captions, while normalize_backward needs those of this rank.",
        "g_columns = collectives.scatter(g_columns); the own unit rows are columns[offset : offset + M]",
    ),
    "test_the_scale_s_gradient_is_the_true_one_on_every_rank": (
        "Print your gradient by the scale on each rank. Are they equal? Is their sum the truth, or each?",
        "row_dot of this rank's images is only a part of the sum, and the factor W is in it already; see the"
        " end of 'What must be sent back'.",
        "collectives.total(row_dot.sum()) / collectives.world",
    ),
    "test_it_is_multiplied_by_the_upstream_gradient": (
        "What does autograd hand to a backward pass besides what was saved?",
        "`upstream` is the gradient of what comes after the loss, a factor of all three results.",
        "factor = upstream * (all the rest); d_scale gets it through row_dot",
    ),
}
DIFFERS = (
    "It converts `upstream` to the dtype of the scale, and adds up row_dot in float64, so that a sum over many"
    " pairs loses no digits."
)
