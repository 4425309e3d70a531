"""Laws of the contrastive loss: one definition, one algorithm that scales, the same numbers."""

import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from miniclip import loss as loss_module
from miniclip.loss import clip_loss, contrastive_loss
from tests.losses import (
    KINDS,
    Watch,
    batch,
    chunks_used,
    definition,
    grads,
    scale_for,
)
from tests.rounding import assert_within, loss_bounds, rounding

pytestmark = pytest.mark.numerics

LOG_100 = math.log(100)
sizes = st.integers(1, 40)
seeds = st.integers(0, 10**6)


@pytest.fixture(autouse=True)
def one_thread(set_threads):
    """Sizes this small only lose by a second one."""
    set_threads(1)


def agrees(image, text, logit_scale, dtype, operands=None, **how):
    """contrastive_loss in dtype against autograd on the five lines in float64."""
    true = grads(definition, image, text, logit_scale)
    got = grads(contrastive_loss, image, text, logit_scale, operands or dtype, **how)
    assert_within(got, true, loss_bounds(image, text, logit_scale, dtype, operands))


@pytest.mark.parametrize("n", [1, 2, 65, 257])
@pytest.mark.parametrize("d", [1, 17, 512])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_the_definition_at_scale_100(n, d, dtype):
    for kind in KINDS:
        agrees(*batch(n, d, kind), LOG_100, dtype)


@pytest.mark.parametrize("n, d", [(2, 17), (7, 64), (65, 64), (257, 512)])
def test_a_loss_of_1e_7_has_its_own_gradient(n, d):
    image, text = batch(n, d, "matched", noise=0.1)
    agrees(image, text, scale_for(1e-7, image, text), torch.float32)


def test_of_equal_features_nothing_is_left_but_rounding():
    """1 - p is taken against the rounded lse (softmax.loss_from_sums), so that both are off alike."""
    d_scale = grads(contrastive_loss, *batch(33, 1, "equal"), LOG_100, torch.float32)[3]
    # sum G S / 2N: every S is 100, and each row of G adds up 33 numbers that are 2 together
    assert abs(d_scale) <= 100 * 2 * rounding(torch.float32, 33 + 22)


@given(sizes, st.integers(1, 48), seeds, st.floats(0, LOG_100), st.integers(1, 50))
def test_it_is_the_definition_whatever_the_chunk(n, d, seed, logit_scale, chunk):
    agrees(*batch(n, d, seed=seed), logit_scale, torch.float64, chunk=chunk)


@pytest.mark.parametrize("logit_scale", [math.log(1000), math.log(1e5)])
def test_a_scale_above_100_is_computed_exactly(logit_scale):
    for kind in ("random", "matched", "equal", "opposite"):
        agrees(*batch(33, 20, kind), logit_scale, torch.float64)


@given(st.integers(2, 300), seeds)
def test_an_untrained_loss_is_near_log_n(n, seed):
    image, text = batch(n, 512, seed=seed)
    scale = 1 / 0.07
    extra = contrastive_loss(image, text, math.log(scale)).item() - math.log(n)
    # log of a mean of exp(scale * cosine), cosine of variance 1/512; less the matched cosine's mean
    assert abs(extra - scale**2 / 1024) < 4 * scale / (512 * n) ** 0.5 + 0.1 / n


@given(seeds, st.sampled_from([torch.float16, torch.bfloat16]))
def test_half_inputs_are_as_good_as_their_rounded_unit_rows(seed, dtype):
    image, text = batch(33, 48, "matched", seed, noise=1.5)
    agrees(image, text, LOG_100, torch.float32, operands=dtype)
    got = grads(contrastive_loss, image, text, LOG_100, dtype)
    assert got[1].dtype == got[2].dtype == dtype and got[0].dtype == torch.float32


def test_autocast_reaches_the_towers_but_not_the_loss():
    image, text = batch(40, 16, "matched")
    alone = grads(contrastive_loss, image, text, 3.0, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = grads(contrastive_loss, image, text, 3.0, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(alone, inside))


@pytest.mark.parametrize("n", [128, 512])
def test_no_tensor_of_half_the_logits_is_ever_made(n):
    d, c = 16, n // 4
    image, text = (x.float().requires_grad_() for x in batch(n, d))
    scale = torch.tensor(3.0, requires_grad=True)
    with Watch() as watch:
        contrastive_loss(image, text, scale, chunk=c).backward()
    assert watch.largest <= 2 * c * n, watch.largest  # two chunks of scratch in one tensor
    allowed = 8 * c * n + 32 * n * d + 100 * n + 2**20
    assert watch.peak_bytes <= allowed, f"{watch.peak_bytes} > {allowed}"


def test_nan_and_infinity_make_nan_and_not_a_number_that_looks_right():
    image, text = (x.float() for x in batch(9, 5))
    for bad in (math.nan, math.inf):
        broken = image.clone()
        broken[3, 2] = bad
        assert contrastive_loss(broken, text, torch.tensor(2.0)).isnan()
        assert contrastive_loss(image, text, torch.tensor(bad)).isnan()


def test_the_gradient_follows_the_upstream_and_may_be_asked_for_twice():
    image, text = (x.requires_grad_() for x in batch(9, 5))
    loss = contrastive_loss(image, text, torch.tensor(2.0).double().requires_grad_())
    once = torch.autograd.grad(loss, image, retain_graph=True)[0]
    again = torch.autograd.grad(3 * loss, image)[0]
    torch.testing.assert_close(3 * once, again)


def test_a_second_derivative_is_refused():
    image, text = (x.requires_grad_() for x in batch(9, 5))
    loss = contrastive_loss(image, text, torch.tensor(2.0))
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, image, create_graph=True)


x, TRITON = torch.zeros, {"backend": "triton"}
WRONG = {
    "two shapes": ([x(3, 4), x(3, 5), x(())], {}, r"\(3, 4\).*\(3, 5\)"),
    "one dimension": ([x(3), x(3), x(())], {}, r"\(N, E\)"),
    "no pair": ([x(0, 4), x(0, 4), x(())], {}, "at least one pair"),
    "no width": ([x(3, 0), x(3, 0), x(())], {}, "at least one"),
    "whole numbers": ([x(3, 4), x(3, 4).long(), x(())], {}, "float32.*int64"),
    "two devices": ([x(3, 4), x(3, 4, device="meta"), x(())], {}, "on cpu, text .* on meta"),
    "two scales": ([x(3, 4), x(3, 4), x(2)], {}, r"logit_scale.*\(2,\)"),
    "an array of scales": ([x(3, 4), x(3, 4), np.zeros(2)], {}, "not .* a ndarray of .2"),
    "a backend": (
        [x(3, 4), x(3, 4), x(())],
        {"backend": "cuda"},
        "auto, torch or triton, not cuda",
    ),
    "a precision": ([x(3, 4), x(3, 4), x(())], {"precision": "tf32"}, "fp16.*tf32"),
    "a float64 kernel": ([x(3, 4).double()] * 2 + [x(())], TRITON, "fp32, fp16 or bf16 operands"),
    "a wide kernel": ([x(3, 2049)] * 2 + [x(())], TRITON, "E up to 2048"),
    "a kernel on a CPU": ([x(3, 4)] * 2 + [x(())], TRITON, "backend='torch' does not|need a GPU"),
    "a group": ([x(3, 4), x(3, 4), x(())], {"group": "world"}, "leave out group"),
    "a number beyond float64": ([x(3, 4), x(3, 4), 10**400], {}, "logarithm of the scale, at most"),
    "nested": ([torch.nested.nested_tensor([x(4)] * 3)] * 2 + [x(())], {}, "not nested"),
    "a chunk": ([x(3, 4), x(3, 4), x(())], {"chunk": 0}, "at least 1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_named(what, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    arguments, how, message = WRONG[what]
    with pytest.raises(ValueError, match=message):
        contrastive_loss(*arguments, **how)


# --- what is chosen, by seams: no GPU is needed


class OnCard(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


@pytest.mark.parametrize(
    "capability, dtype, width, how, want",
    [
        ((8, 0), torch.float32, 2048, {}, ("triton", torch.float16)),
        ((8, 0), torch.bfloat16, 8, {}, ("triton", torch.float16)),
        ((12, 0), torch.float32, 8, dict(precision="bf16"), ("triton", torch.bfloat16)),
        ((8, 0), torch.float32, 8, dict(precision="fp32"), ("torch", torch.float32)),
        ((7, 5), torch.float32, 8, {}, ("torch", torch.float32)),  # older than the A100
        ((7, 5), torch.float32, 8, dict(backend="triton"), ("triton", torch.float16)),
        ((8, 0), torch.float32, 2049, {}, ("torch", torch.float32)),  # wider than the kernels
        ((8, 0), torch.float64, 8, {}, ("torch", torch.float64)),
        ((8, 0), torch.float64, 8, dict(precision="fp16"), ("triton", torch.float16)),
        ((8, 0), torch.float32, 8, dict(precision="fp64"), ("torch", torch.float64)),
        ((8, 0), torch.float16, 8, dict(backend="torch"), ("torch", torch.float16)),
        (None, torch.float32, 8, {}, ("torch", torch.float32)),  # on a CPU
        (None, torch.bfloat16, 8, dict(precision="fp64"), ("torch", torch.float64)),
        (None, torch.float32, 8, dict(backend="triton"), ("triton", torch.float32)),
    ],
)
def test_triton_in_fp16_on_nvidia_gpus_of_the_a100_s_generation_or_newer(
    capability, dtype, width, how, want, monkeypatch
):
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "True")  # Triton reads it as it reads 1
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    image = torch.ones(3, width, dtype=dtype)
    image = image.as_subclass(OnCard) if capability else image
    monkeypatch.setattr(loss_module, "_first_kernel", lambda device: True)
    how = dict(backend="auto", precision="auto") | how
    ops, chosen = loss_module._plan(image, image, 1.0, how["backend"], how["precision"], None)
    name = {"kernels.reference": "torch", "kernels.fused.launch": "triton"}[ops.__name__]
    assert (name, chosen) == want


@pytest.mark.parametrize("why", ["ROCm", "no C compiler"])
def test_where_no_kernel_can_run_auto_takes_torch_and_says_so_once(why, monkeypatch):
    """A ROCm card says that it has capability 9.x. Without a C compiler Triton cannot build its launcher."""
    launch, said = pytest.importorskip("kernels.fused.launch"), []

    def normalize(*_):
        raise RuntimeError("Failed to find C compiler.\nPlease specify it")

    monkeypatch.setattr(torch.version, "hip", "6.4" if why == "ROCm" else None)
    monkeypatch.setattr(launch, "normalize", normalize)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 4))
    monkeypatch.setattr(loss_module.warnings, "warn", said.append)
    loss_module._first_kernel.cache_clear()
    image = torch.ones(3, 8).as_subclass(OnCard)
    for _ in range(2):
        ops, dtype = loss_module._plan(image, image, 1.0, "auto", "auto", None)
        assert ops is loss_module.reference and dtype == torch.float32
    loss_module._first_kernel.cache_clear()
    assert len(said) == (why != "ROCm") and all(
        s.endswith("Failed to find C compiler.)") for s in said
    )


def test_without_triton_a_gpu_computes_in_torch(monkeypatch):
    monkeypatch.setattr(loss_module, "HAS_TRITON", False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    image = torch.ones(3, 8).as_subclass(OnCard)
    ops, dtype = loss_module._plan(image, image, 1.0, "auto", "auto", None)
    assert ops is loss_module.reference and dtype == torch.float32
    with pytest.raises(ValueError, match="needs Triton installed"):
        loss_module._plan(image, image, 1.0, "triton", "auto", None)


@pytest.mark.parametrize(
    "chunk, want", [(None, 512), (1, 1), (3, 3), (1000, 1000), (np.int64(3), 3)]
)
def test_the_chunk_is_the_one_asked_for_or_the_backend_s_own(chunk, want, monkeypatch):
    used = chunks_used(monkeypatch)
    value, *_ = grads(contrastive_loss, *batch(5, 4), 1.0, chunk=chunk)
    assert repr(used) == repr([want, want])  # and not a number of numpy, whose sums may wrap around
    torch.testing.assert_close(value, definition(*batch(5, 4), torch.tensor(1.0).double()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_under_torch_compile_the_numbers_are_the_same(dtype):
    """The graph breaks at the loss. A factor of all features changes neither value nor gradients."""
    step = torch.compile(lambda a, b, s: contrastive_loss(2 * a, b, s), backend="aot_eager")
    pairs = batch(20, 12, "matched")
    bounds = loss_bounds(*pairs, 3.0, dtype)
    assert_within(grads(step, *pairs, 3.0, dtype), grads(definition, *pairs, 3.0), bounds)


@pytest.mark.slow
def test_the_loss_does_not_need_triton():
    code = """
import sys
sys.modules["triton"] = None  # importing it now fails
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else found(name, *rest)
import numpy as np
import torch
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


def test_the_five_lines_are_the_mean_of_two_cross_entropies():
    """Unit rows at 0 and 90 degrees against 0 and 60; scale 2: cosines 1, 1/2, 0, 0.866."""
    image, text = torch.tensor([[3.0, 0], [0, 0.5]]), torch.tensor([[1.0, 0], [1, 3**0.5]])
    s = [[2, 1], [0, 3**0.5]]
    rows = [math.log(math.exp(a) + math.exp(b)) for a, b in s]
    columns = [math.log(math.exp(a) + math.exp(b)) for a, b in zip(*s)]
    want = (sum(rows) + sum(columns)) / 4 - (s[0][0] + s[1][1]) / 2
    for loss in (clip_loss, contrastive_loss):
        assert loss(image, text, torch.tensor(math.log(2))).item() == pytest.approx(want, rel=1e-6)
    assert contrastive_loss(image, text, math.log(2)).item() == pytest.approx(want, rel=1e-6)


@pytest.mark.slow
def test_another_package_called_kernels_is_named(tmp_path):
    """Where Hugging Face's package `kernels` comes first on the path.

    An editable install finds our files all the same, so its finder is taken away.
    """
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "__init__.py").write_text("def get_kernel(): pass\n")
    root = pathlib.Path(__file__).parents[1]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(root)]))
    code = (
        "import sys\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "import miniclip.loss"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: miniclip needs its own package kernels"), done.stderr
    assert str(tmp_path / "kernels") in last


def test_open_clip_has_the_same_loss():
    open_definition = pytest.importorskip("open_clip.loss").ClipLoss()
    image, text = (torch.nn.functional.normalize(t, dim=1) for t in batch(65, 32, "matched"))
    theirs = grads(lambda a, b, s: open_definition(a, b, s.exp()), image, text, 3.0)
    ours = grads(contrastive_loss, image, text, 3.0)
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[3], theirs[3])
