"""Corrections to Triton's interpreter, so that what passes on a CPU should pass on a GPU.

The interpreter (TRITON_INTERPRET=1) runs kernels in numpy. It differs from a GPU in three ways that
hide or invent errors (Triton 3.9), and `install` corrects them:

- A cast from float32 to bfloat16 cuts digits off instead of rounding to the nearest number.
- tl.dot multiplies the bit patterns of bfloat16 as if they were whole numbers.
- exp2 keeps denormals, where a GPU flushes them to zero. So a sum that vanishes on the GPU, and
  needs the rescue there, would look right.

Left out: fused multiply-add and the GPU's order of summation, which change the last bit, and tf32,
which no kernel here uses.
"""

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter


def to_bfloat16(x):
    """float32 array -> the bits of the nearest bfloat16, ties to even, as uint16."""
    x = torch.from_numpy(np.array(x, dtype=np.float32, order="C"))
    return x.bfloat16().view(torch.int16).numpy().view(np.uint16)


def from_bfloat16(bits):
    """Bits of bfloat16 as uint16 -> float32 array: the same bits above sixteen zeros."""
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def flush(x):
    """float32 array with denormals made zero, as the GPU's instruction ex2.approx.ftz does."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.zeros_like(x), x)  # tiny: 2^-126


def install():
    """Correct Triton's interpreter for this process. launch.py calls this once, when imported."""
    builder, handle = interpreter.InterpreterBuilder, interpreter.TensorHandle
    uncorrected_dot = builder.create_dot
    convert = {
        (tl.float32, tl.bfloat16): to_bfloat16,
        (tl.bfloat16, tl.float32): from_bfloat16,
    }

    def rounding_cast(cast):
        def wrapper(self, source, target, *rest):
            if converted := convert.get((source.dtype.scalar, target.scalar)):
                return handle(converted(source.data), target.scalar)
            with np.errstate(over="ignore"):  # elements that a store masks out may be anything
                return cast(self, source, target, *rest)

        return wrapper

    def as_float32(x):
        return handle(from_bfloat16(x.data), tl.float32) if x.dtype.scalar == tl.bfloat16 else x

    def float32_dot(self, a, b, *rest):
        return uncorrected_dot(self, as_float32(a), as_float32(b), *rest)

    def flushing_exp2(self, x):
        flushed = flush if x.dtype.scalar == tl.float32 else lambda numbers: numbers
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return handle(flushed(np.exp2(flushed(x.data))), x.dtype.scalar)

    builder.cast_impl = rounding_cast(builder.cast_impl)
    builder.create_fp_to_fp = rounding_cast(builder.create_fp_to_fp)
    builder.create_dot, builder.create_exp2 = float32_dot, flushing_exp2
