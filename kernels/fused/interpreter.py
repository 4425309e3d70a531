"""An honest interpreter: what passes on a CPU should pass on a GPU.

Triton's interpreter (TRITON_INTERPRET=1) runs kernels in numpy. Three of its habits hide or invent
errors, and `install` corrects them: it rounds float32 to bfloat16 by cutting bits off instead of to
the nearest; its tl.dot multiplies the bit patterns of bfloat16 as if they were whole numbers; and
its exp2 keeps denormals, where a GPU flushes them to zero (so a sum that vanishes on the GPU, and
needs the rescue, looks fine here). Left out: fused multiply-add and the GPU's order of summation,
which change the last bit, and tf32, which nothing here asks for.
"""

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

SMALLEST = np.finfo(np.float32).tiny  # 2^-126: below it a float32 is denormal


def to_bfloat16(x):
    """float32 array -> the bits of the nearest bfloat16, ties to even, as uint16."""
    x = torch.from_numpy(np.array(x, dtype=np.float32, order="C"))
    return x.bfloat16().view(torch.int16).numpy().view(np.uint16)


def from_bfloat16(bits):
    """Bits of bfloat16 as uint16 -> float32 array: the same bits above sixteen zeros."""
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def flushed(x):
    """float32 array with denormals made zero, as ex2.approx.ftz and its like do."""
    return np.where(np.abs(x) < SMALLEST, np.zeros_like(x), x)


def install():
    """Correct Triton's interpreter for this process; again is harmless."""
    builder = interpreter.InterpreterBuilder
    if getattr(builder, "honest", False):
        return
    handle = interpreter.TensorHandle
    cast, dot, convert = builder.cast_impl, builder.create_dot, builder.create_fp_to_fp

    def honest_cast(otherwise):
        def wrapper(self, source, target, *rest):
            pair = source.dtype.scalar, target.scalar
            if pair == (tl.float32, tl.bfloat16):
                return handle(to_bfloat16(source.data), target.scalar)
            if pair == (tl.bfloat16, tl.float32):
                return handle(from_bfloat16(source.data), target.scalar)
            with np.errstate(over="ignore"):  # lanes that a store masks out may hold anything
                return otherwise(self, source, target, *rest)

        return wrapper

    def widened(x):
        is_half = x.dtype.scalar == tl.bfloat16
        return handle(from_bfloat16(x.data), tl.float32) if is_half else x

    def honest_dot(self, a, b, *rest):
        return dot(self, widened(a), widened(b), *rest)

    def honest_exp2(self, x):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return handle(flushed(np.exp2(flushed(x.data))), x.dtype.scalar)

    builder.cast_impl, builder.create_dot = honest_cast(cast), honest_dot
    builder.create_fp_to_fp, builder.create_exp2 = honest_cast(convert), honest_exp2
    builder.honest = True
