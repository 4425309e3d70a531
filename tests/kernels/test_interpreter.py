"""The corrected interpreter computes what a GPU would: bfloat16, its products, and exp2."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("triton")
import triton  # noqa: E402
import triton.language as tl  # noqa: E402

from kernels.fused import interpreter, launch  # noqa: E402

interpreted = pytest.mark.skipif(not launch.INTERPRET, reason="needs TRITON_INTERPRET=1")


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_the_interpreter_rounds_bfloat16_as_torch_does(values):
    x = np.array(values, dtype=np.float32)
    ours = torch.from_numpy(interpreter.from_bfloat16(interpreter.to_bfloat16(x)))
    theirs = torch.from_numpy(x).bfloat16().float()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_the_interpreter_flushes_denormals():
    x = np.array([2.0**-126, 2.0**-127, -(2.0**-149), 0.0, 1.0], dtype=np.float32)
    assert interpreter.flush(x).tolist() == [2.0**-126, 0.0, 0.0, 0.0, 1.0]


@triton.jit
def products_kernel(X, Y, XY, ROUNDED, E, N: tl.constexpr):
    """XY = X Y in bfloat16 with sums in float32, ROUNDED = X in bfloat16, E = 2^E by rows."""
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    x, y = tl.load(X + at).to(tl.bfloat16), tl.load(Y + at).to(tl.bfloat16)
    tl.store(XY + at, tl.dot(x, y))
    tl.store(ROUNDED + at, x)
    tl.store(E + at, tl.exp2(tl.load(E + at)))


@interpreted
def test_a_kernel_rounds_multiplies_and_flushes_as_a_gpu_does():
    x, y = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0))
    e = torch.arange(256.0).view(16, 16) - 200  # 2^-200 to 2^55: those below 2^-126 become 0
    xy, rounded, powers = torch.empty(16, 16), torch.empty(16, 16).bfloat16(), e.clone()
    products_kernel[(1,)](x, y, xy, rounded, powers, 16)
    assert torch.equal(rounded, x.bfloat16())
    want = x.bfloat16().double() @ y.bfloat16().double()
    torch.testing.assert_close(xy.double(), want, rtol=1e-5, atol=1e-5)
    assert torch.equal(powers, torch.where(e < -126, 0, torch.exp2(e)))
