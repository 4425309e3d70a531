"""The Triton block operations and the whole loss on them, against float64, in the interpreter.

Truth in float64; a kernel may be as wrong as its roundings (tests/rounding.py) and no more. On a
machine with a GPU the same tests run on it.
"""

import contextlib
import functools
import itertools
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from kernels import contrastive, reference
from kernels.softmax import fixed_shift, needs_rescue
from miniclip.loss import PRECISIONS, contrastive_loss
from tests.guarded import guarded, untouched
from tests.losses import KINDS, Watch, batch, definition, grads
from tests.rounding import assert_within, loss_bounds, probability_error, rounding

triton = pytest.importorskip("triton")
from triton.runtime.interpreter import InterpreterBuilder  # noqa: E402

from kernels.fused import tile_config  # noqa: E402

blocks = pytest.importorskip("kernels.fused.launch")
DEVICE = "cpu" if blocks.INTERPRET else "cuda"
if DEVICE == "cuda" and not torch.cuda.is_available():
    pytest.skip("needs a GPU, or TRITON_INTERPRET=1", allow_module_level=True)
KERNEL_PRECISIONS = ("fp32", "fp16", "bf16")
precisions = st.sampled_from(KERNEL_PRECISIONS)
pytestmark = pytest.mark.numerics
fused = functools.partial(contrastive_loss, backend="triton")
interpreted = pytest.mark.skipif(not blocks.INTERPRET, reason="needs TRITON_INTERPRET=1")


def on_device(loss):
    """The loss with its tensors taken to the device and back, differentiably."""
    return lambda *tensors, **how: loss(*(t.to(DEVICE) for t in tensors), **how).cpu()


def check(image, text, logit_scale, precision, **how):
    """The kernels' loss and gradients against the truth."""
    true = grads(definition, image, text, logit_scale)
    got = grads(
        on_device(fused), image, text, logit_scale, torch.float32, precision=precision, **how
    )
    bounds = loss_bounds(image, text, logit_scale, torch.float32, PRECISIONS[precision])
    assert_within(got, true, bounds)
    # all rows together have one standard deviation, not a worst row's four
    for g, t, x, bound in zip(got[1:3], true[1:3], (image, text), bounds[1:3]):
        weight = x.norm(dim=1)  # so that all rows count alike
        error = ((g - t).norm(dim=1) * weight).norm()
        allowed = (torch.where(weight > 0, bound * weight, 0).norm() / 4).item()
        assert error <= allowed, f"{precision}: {error / allowed:.1f} times what rounding does"


@settings(max_examples=10)
@given(
    st.integers(1, 70),
    st.integers(1, 96),
    st.integers(0, 10**6),
    st.sampled_from(KINDS),
    precisions,
    st.floats(0, math.log(100)),
    st.integers(1, 80),
)
def test_the_fused_loss_is_the_definition(n, d, seed, kind, precision, logit_scale, chunk):
    check(*batch(n, d, kind, seed), logit_scale, precision, chunk=chunk)


def test_threads_do_not_mix_their_programs():
    many = [batch(n, 8, "random", n) for n in (20, 40) * 3]
    with ThreadPoolExecutor(2) as pool:
        [*pool.map(lambda pair: check(*pair, 2.0, "fp32"), many)]


WIDE = [(d, p) for d in (512, 640, 768, 1024) for p in KERNEL_PRECISIONS]
QUICK = [(512, "fp32"), (640, "fp16"), (768, "bf16")]  # the others: -m slow
HARD = {  # the arguments of batch, a scale, and others of check
    "wide": [
        pytest.param(
            dict(n=66, d=d, kind="matched", seed=d), 1 / 0.07, precision, dict(chunk=40),
            marks=() if (d, precision) in QUICK else pytest.mark.slow,
        )
        for d, precision in WIDE
    ],
    "a scale above 100 is computed and not clamped": [
        (dict(n=33, d=20, kind=kind), 1000, "fp32", {}) for kind in ("random", "matched", "opposite")
    ],
    # of a trained model: at scale 100 the losses are 4e-7, 4e-4 and 0.5
    "its own small gradients": [
        (dict(n=96, d=128, kind="matched", noise=noise), 100, precision, {})
        for noise, precision in ((1.7, "fp16"), (2, "fp16"), (2, "fp32"), (2, "bf16"), (3, "fp16"))
    ],
}  # fmt: skip


@pytest.mark.parametrize("how, scale, precision, more", [*itertools.chain(*HARD.values())])
def test_hard_batches_are_within_their_roundings(how, scale, precision, more):
    check(*batch(**how), math.log(scale), precision, **more)


@contextlib.contextmanager
def descriptors(used):
    """Operands come as descriptors, or as pointers, in the interpreter as well."""
    signatures = sys.modules["kernels.fused.signatures"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "uses_tma", lambda *how: used)
        signatures.constants.cache_clear()
        yield
    signatures.constants.cache_clear()


@given(
    st.integers(1, 70),
    st.integers(1, 90),
    st.integers(1, 96),
    st.integers(-20, 20),
    st.floats(1, 100),
    st.integers(0, 10**6),
)
def test_operations_on_any_block_are_their_references(m, n, d, offset, scale, seed):
    """Rows x columns need not be square, and matches need not exist."""
    g = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, d, generator=g).to(DEVICE) for k in (m, n))
    scale_log2 = torch.tensor(scale / math.log(2), device=DEVICE)
    rows, columns = (reference.normalize(t, torch.float32)[0] for t in (x, y))
    # both sides round: twice. In bits a similarity is off by its error in nats over ln 2
    error = 2 * probability_error(torch.float32, scale, max(m, n), d)
    same = functools.partial(torch.testing.assert_close, rtol=error, atol=0)
    shift, _ = fixed_shift(scale_log2, n)
    for ours, theirs in zip(
        *(o.sums(rows, columns, scale_log2, shift, offset, 32) for o in (blocks, reference))
    ):
        same(ours, theirs, atol=1e-30)  # below 2^-100 rows are rescued
    flagged = torch.rand(m, generator=g).to(DEVICE) < 0.5
    online = [
        o.online_sums(rows, columns, scale_log2, flagged, offset, 32) for o in (blocks, reference)
    ]
    for ours, theirs in zip(*online):
        same(ours, theirs, atol=error / math.log(2))
    lse = [torch.rand(k, generator=g).to(DEVICE) + scale_log2 for k in (m, n)]
    one_minus_p = [torch.rand(k, generator=g).to(DEVICE) for k in (m, n)]
    if offset >= 0 and m + offset <= n:  # the loss never asks for more
        for tma in (False, True) if d % 4 == 0 and blocks.INTERPRET else (False,):
            inputs = rows, columns, scale_log2, *lse, *one_minus_p, offset, 24
            with descriptors(tma):
                a = blocks.gradient(*inputs)
            b = reference.gradient(*inputs)
            size = torch.exp2(scale_log2 * rows @ columns.T - lse[0][:, None])
            size += torch.exp2(scale_log2 * rows @ columns.T - lse[1])
            size.diagonal(offset).copy_(one_minus_p[0] + one_minus_p[1][offset : m + offset])
            sums = error + 2 * rounding(torch.float32, max(m, n))  # of exponentials; of products
            moved = size @ columns.abs() / 2, size.T @ rows.abs() / 2
            flushed = max(m, n) * torch.finfo(torch.float32).tiny
            for ours, theirs, most in zip(a[:2], b[:2], moved):
                wrong = (ours * a[2] - theirs * b[2]).abs() / (sums * most + flushed)
                assert wrong.max() <= 1, f"{wrong.max():.1f} times what rounding can do"


@pytest.fixture(params=["as everywhere", "as on Hopper"])
def small_tiles(monkeypatch, request):
    """Tiles of 16 x 16, most of them without a match or an edge; on Hopper two or three in one."""
    if not blocks.INTERPRET:
        pytest.skip("needs TRITON_INTERPRET=1")
    real, signatures = tile_config.tile_shape, sys.modules["kernels.fused.signatures"]
    parts = {"tall sums": dict(BM=32), "wide gradient": dict(BN=48)}

    def shape(name, *how):
        return real(name, *how) | dict(BM=16, BN=16) | parts.get(name, {})

    hopper = request.param == "as on Hopper"
    monkeypatch.setattr(signatures, "tile_shape", shape)
    monkeypatch.setattr(blocks, "warps_can_differ", lambda *how: hopper)
    with descriptors(hopper):
        yield


@pytest.mark.parametrize(
    "kind, scale, precision",
    [("random", 1 / 0.07, "fp32"), ("random", 100, "bf16")]
    + [(kind, 100, "fp16") for kind in ("random", "matched", "opposite")],
)
def test_tiles_without_a_match_are_within_their_roundings(kind, scale, precision, small_tiles):
    """One exponential for each element, with factors of its row and column."""
    check(*batch(49, 32, kind, noise=1.5), math.log(scale), precision, chunk=35)
    image, text = (0.02 * t for t in batch(33, 32))  # one row whose exponentials would all vanish
    image[:, 0] += 1
    text[:, 0] += 1
    image[5, 0] = -1
    check(image, text, math.log(scale), precision)


@pytest.mark.parametrize(
    "m, n, offset",
    [(100, 100, 0), (50, 90, 17), (33, 48, -9), (70, 40, 5), (9, 100, 80), (40, 9, 0)],
)
def test_sums_leave_out_the_matches_wherever_they_are(m, n, offset, small_tiles):
    """On Hopper a kernel of its own computes the matches' rows, and another the last columns."""
    x, y = torch.randn(2, max(m, n), 32, generator=torch.Generator().manual_seed(m)) / 6
    rows, columns, (scale_log2, shift) = x[:m], y[:n], torch.tensor([20.0, -10.0])
    error = 2 * probability_error(torch.float32, 20, max(m, n), 32)
    for ours, theirs in zip(
        *(o.sums(rows, columns, scale_log2, shift, offset, 3) for o in (blocks, reference))
    ):
        torch.testing.assert_close(ours, theirs, rtol=error, atol=0)


@pytest.mark.parametrize("small_tiles", ["as on Hopper"], indirect=True)
def test_a_wide_gradient_has_the_same_numbers(small_tiles, monkeypatch):
    """Descriptors made in the kernel, and programs that take many tiles of three parts."""
    x, y = torch.randn(2, 100, 32, generator=torch.Generator().manual_seed(0)).half() / 6
    vectors = [torch.rand(100) + k for k in (15, 15, 0, 0)]
    inputs, seen = (x, y, torch.tensor(20.0), *vectors, 0, 60), []
    for differ in (False, True):
        monkeypatch.setattr(blocks, "warps_can_differ", lambda *how, differ=differ: differ)
        seen.append(blocks.gradient(*inputs)[:2])
    assert all(torch.equal(a, b) for a, b in zip(*seen))


def flagged_rows(image, text, scale, of_largest=False):
    """The share of rows whose sum needs the rescue: less the fixed shift, or the largest similarity."""
    x, y = (reference.normalize(t.float().to(DEVICE), torch.float32)[0] for t in (image, text))
    scale_log2 = torch.tensor(scale / math.log(2), device=DEVICE)
    shift, floor = fixed_shift(scale_log2, len(x))
    z, _ = blocks.sums(x, y, scale_log2, scale_log2 if of_largest else shift, 0, 64)
    return needs_rescue(z, floor).float().mean().item()


@pytest.mark.parametrize("scale", [1 / 0.07, 100])
def test_the_fixed_shift_is_enough_for_random_features_and_the_largest_similarity_is_not(scale):
    pairs = batch(64, 512)
    assert flagged_rows(*pairs, scale) == 0
    assert flagged_rows(*pairs, 100, of_largest=True) > 0.5, "exp2 must flush denormals as a GPU's"


@pytest.mark.parametrize("precision", KERNEL_PRECISIONS)
@pytest.mark.parametrize("every_row", [True, False])
def test_rows_are_rescued_where_all_exponentials_would_vanish(every_row, precision):
    """Cosines near -1. In the columns beyond 40, up to the next multiple of 16, a row's softmax would
    be 2^144 without a limit."""
    image, text = (0.02 * t for t in batch(40, 24))
    text[:, 0] += 1
    image[:, 0] += -1 if every_row else 1
    image[0, 0] = -1
    assert round(40 * flagged_rows(image, text, 100)) == (40 if every_row else 1)
    check(image, text, math.log(100), precision)


def test_results_repeat_bit_for_bit():
    image, text = batch(70, 40, "matched")
    a, b = (grads(on_device(fused), image, text, 4.0, torch.float32) for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(a, b))


@given(st.integers(1, 40), st.sampled_from([16, 48, 64]), precisions, st.integers(0, 999))
def test_descriptors_and_pointers_see_the_same_numbers(n, d, precision, seed):
    if not blocks.INTERPRET and torch.cuda.get_device_capability() < (9, 0):
        pytest.skip("descriptors need Hopper")
    x, y = (t.float().to(DEVICE) for t in batch(n, d, seed=seed))
    rows, columns = (reference.normalize(t, PRECISIONS[precision])[0] for t in (x, y))
    scale_log2, shift = torch.tensor([100.0, -10.0], device=DEVICE)
    seen = []
    for used in (True, False):
        with descriptors(used):
            seen.append(blocks.sums(rows, columns, scale_log2, shift, 0, 64))
    assert all(torch.equal(a, b) for a, b in zip(*seen))


def test_features_of_any_strides_are_read_without_a_copy():
    image, text = batch(33, 20)
    wide = torch.stack([image.float(), image.float()], 2).to(DEVICE)
    transposed = text.float().T.contiguous().T.to(DEVICE)
    scale = torch.tensor(2.0, device=DEVICE)
    plain = fused(image.float().to(DEVICE), text.float().to(DEVICE), scale)
    assert torch.equal(fused(wide[..., 1], transposed, scale), plain)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_memory_is_the_chunk_and_the_features(precision):
    n, d, c = 256, 32, 64
    image, text = (t.float().to(DEVICE).requires_grad_() for t in batch(n, d))
    scale = torch.tensor(3.0, device=DEVICE, requires_grad=True)
    with Watch() as watch:
        fused(image, text, scale, precision=precision, chunk=c).backward()
    assert watch.largest < n * n / 2, watch.largest
    size = PRECISIONS[precision].itemsize
    allowed = size * c * n + 20 * n * d + 64 * n + 2**20
    assert watch.peak_bytes <= allowed, f"{watch.peak_bytes} > {allowed}"


# --- how the kernels are launched


def test_float16_holds_the_gradient_times_the_largest_power_of_two_that_fits():
    """|G| <= 2, and GRAD_SCALE / 2 times it is stored."""
    scale = {p: blocks._plan("gradient", torch.empty(1, 8, dtype=PRECISIONS[p]))["GRAD_SCALE"]
             for p in KERNEL_PRECISIONS}  # fmt: skip
    largest = torch.finfo(torch.float16).max
    assert scale["fp16"] <= largest < 2 * scale["fp16"] and math.log2(scale["fp16"]).is_integer()
    assert scale["bf16"] == scale["fp32"] == 1


class Launches:
    """In the place of the kernels: notes (name, arguments), and runs them through `around` or not at
    all. Each must be launched on the card of its tensors: Triton launches on the current card."""

    def __init__(self, monkeypatch, around=lambda run, arguments: None):
        self.seen, self.around, self.cards = [], around, []
        monkeypatch.setattr(torch.cuda, "device_of", self.guard)
        for name, (kernel, operands) in blocks.KERNELS.items():
            monkeypatch.setitem(blocks.KERNELS, name, (self.stand_in(name, kernel), operands))

    @contextlib.contextmanager
    def guard(self, tensor):
        self.cards.append(tensor.device)
        yield
        self.cards.pop()

    def stand_in(self, name, kernel):
        class Kernel:
            def __getitem__(_, grid):
                def launch(*arguments, **how):
                    tensors = [a for a in arguments if torch.is_tensor(a)]
                    assert {a.device for a in tensors} == set(self.cards[-1:])
                    self.seen.append((name, arguments))
                    self.around(lambda *a: kernel[grid](*a, **how), arguments)

                return launch

        stand_in = Kernel()
        stand_in.arg_names = kernel.arg_names
        return stand_in


@interpreted
@pytest.mark.parametrize("n, stride", [(1, 16), (16, 16), (17, 32), (208, 208)])
def test_the_gradient_s_rows_start_at_multiples_of_16(n, stride, monkeypatch):
    """The kernels are compiled for that."""
    seen = Launches(monkeypatch).seen
    rows, columns, row = torch.ones(3, 70), torch.ones(n, 70), torch.ones(3)
    vectors = row, torch.ones(n), row, torch.ones(n)
    blocks.gradient(rows, columns, torch.ones(()), *vectors, 0, 1)
    assert {arguments[-1] for _, arguments in seen} == {stride}


@pytest.mark.parametrize("in_place", [True, False])
def test_products_of_16_bits_have_sums_and_results_in_float32(in_place, monkeypatch):
    """By torch.mm and addmm with out_dtype, which CPUs lack: others stand in their places."""

    def mm(a, b, out_dtype, out=None):
        assert a.dtype == b.dtype == torch.float16 and out_dtype == torch.float32
        return torch.matmul(a.float(), b.float(), out=out)

    def addmm(c, a, b, out_dtype, out):
        assert in_place
        return out.copy_(c + mm(a, b, out_dtype))

    for name, value in dict(INTERPRET=False, ADDMM_TAKES_FLOAT32=in_place).items():
        monkeypatch.setattr(blocks, name, value)
    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(torch, "addmm", addmm)
    g, y, x = (torch.randn(shape).half() for shape in ((5, 7), (7, 3), (5, 3)))
    g_rows, g_columns = torch.full((5, 3), torch.nan), torch.full((7, 3), torch.nan)
    for added in (False, True):
        blocks.products(g, y, x, g_rows, g_columns, added)
    torch.testing.assert_close(g_rows, g.float() @ y.float())
    torch.testing.assert_close(g_columns, 2 * g.float().T @ x.float())


@interpreted
def test_a_step_of_8192_is_at_most_40_launches_and_a_graph_can_capture_it(monkeypatch):
    """Kernels and products do not run here, and reading a number would fail."""

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out, name = func(*args, **(kwargs or {})), func._schema.name
            first = out[0] if isinstance(out, (tuple, list)) else out
            if not (func.is_view or "empty" in name or "detach" in name or "alias" in name):
                launched.append((name, tuple(first.shape)))
            return out

    def stop(*_, **__):
        raise AssertionError("the host waits for the device")

    launched, seen = [], Launches(monkeypatch).seen
    monkeypatch.setattr(blocks, "products", lambda *_: launched.extend(["mm", "mm"]))
    pairs = [torch.empty(8192, 8) for _ in range(2)]
    upstream, scale = torch.ones(()), torch.tensor(2.0)
    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, stop)
    one, half = contrastive.LocalCollectives(), torch.float16
    with Count():
        loss, saved = contrastive.forward(*pairs, scale, blocks, one, half, None)
        contrastive.backward(upstream, saved, blocks, one, (half, half), None)
    names = [name for name, _ in seen]
    assert len(launched) + len(seen) <= 40, f"{len(launched)}: {launched}, {len(names)}: {names}"


def spaced(x):
    """x with neighbours in memory that no kernel may touch: (a view like x, are they untouched?)."""
    span = x if x.is_contiguous() else x.as_strided((len(x) * x.stride(0),), (1,))
    if x.dtype != torch.uint8:
        inside = guarded(span)
        return inside.as_strided(x.shape, x.stride()), lambda: untouched(inside)
    around = torch.full((len(x) + 128,), 255, dtype=torch.uint8)
    around[64:-64] = x
    rest = lambda: bool((around[:64] == 255).all() and (around[-64:] == 255).all())  # noqa: E731
    return around[64:-64], rest


@interpreted
@pytest.mark.parametrize("m, n, d", [(67, 70, 20), (16, 33, 17)])
def test_no_kernel_reads_or_writes_outside_of_its_tensors(m, n, d, monkeypatch):
    """On a GPU one that does reads what another tensor holds, or ends the program."""

    def around(run, arguments):
        both = [
            spaced(a) if torch.is_tensor(a) and a.ndim else (a, lambda: True) for a in arguments
        ]
        run(*(inside for inside, _ in both))
        for argument, (inside, intact) in zip(arguments, both):
            assert intact(), "written outside"
            if inside is not argument:
                argument.copy_(inside)

    real = InterpreterBuilder.create_masked_load

    def load(self, pointers, mask, *rest):
        loaded = real(self, pointers, mask, *rest)
        values = loaded.data[mask.data]
        # NaN and 255 stand around every tensor, and in none
        assert not ((values != values) | (values == 255)).any(), "read outside"
        return loaded

    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", load)
    empty = torch.empty  # fresh memory may hold a NaN
    monkeypatch.setattr(torch, "empty", lambda *shape, **how: empty(*shape, **how).zero_())
    seen = Launches(monkeypatch, around).seen
    x, y = torch.randn(2, max(m, n), d, generator=torch.Generator().manual_seed(0))
    (rows, norm), (columns, _) = (blocks.normalize(t, torch.float32) for t in (x[:m], y[:n]))
    scale_log2, one = torch.tensor(20.0), torch.ones(())
    blocks.diagonal(rows, columns[:m].clone() if m <= n else rows)
    blocks.sums(rows, columns, scale_log2, one, 0, 40)
    blocks.online_sums(rows, columns, scale_log2, torch.arange(m) % 2 == 0, 0)
    offset = max(0, n - m)
    vectors = [torch.full((k,), value) for value in (30.0, 0.5) for k in (m, n)]
    g_rows, _, _ = blocks.gradient(rows, columns, scale_log2, *vectors, offset, 40)
    blocks.normalize_backward(g_rows, rows, norm, one, torch.float16)
    blocks.finish(norm, norm > 1, norm, norm, one, norm, scale_log2)
    assert {name for name, _ in seen} == set(blocks.KERNELS) - set(blocks.HOPPER)


@interpreted
def test_the_rescue_multiplies_nothing_where_no_row_is_flagged(monkeypatch):
    """A block of 64 rows is computed where one of them is flagged, and no other block."""
    real, products = InterpreterBuilder.create_dot, []

    def dot(self, *arguments):
        products.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(InterpreterBuilder, "create_dot", dot)
    x = torch.eye(130, 16)
    for who, count in ((None, 0), (0, 3), (63, 3), (64, 3), (129, 3)):
        products.clear()
        flagged = torch.arange(130) == (-1 if who is None else who)
        blocks.online_sums(x, x, torch.tensor(3.0), flagged, 0)
        assert len(products) == count, who  # 130 columns are three tiles


@pytest.mark.gpu
def test_it_can_be_captured_in_a_cuda_graph():
    image, text = (t.float().cuda().requires_grad_() for t in batch(300, 64))
    scale = torch.tensor(3.0, device="cuda", requires_grad=True)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # compiles and warms up outside the capture
        for _ in range(3):
            expected = torch.autograd.grad(fused(image, text, scale), (image, text, scale))
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = torch.autograd.grad(fused(image, text, scale), (image, text, scale))
    graph.replay()
    assert all(torch.equal(a, b) for a, b in zip(captured, expected))
