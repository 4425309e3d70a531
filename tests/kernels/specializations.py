"""Run as a script: which variants of every kernel Triton would compile, for which it needs no GPU.

Calls all block operations of kernels/fused/launch.py on the CPU with every launch replaced by its key: the
types and specialisations of its arguments, and its constants. Prints JSON, {kernel: {key: batches}}.
Without TRITON_INTERPRET, under which nothing is specialised.
"""

import collections
import json
import sys

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime import jit

from kernels.fused import launch
from kernels.softmax import fixed_shift

seen = collections.defaultdict(lambda: collections.defaultdict(list))


def record(kernel, *args, grid, warmup, **how):
    """In the place of a launch: notes its key."""
    backend = make_backend(GPUTarget("cuda", arch, 32))
    bind = jit.create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, options = bind(*args, **how)
    constants = {p.name: bound[p.name] for p in kernel.params if p.is_constexpr}
    seen[kernel.fn.__name__][f"{specialization} {constants} {options}"].append(n)


arch = int(sys.argv[1])
jit.JITFunction.run = record
launch.arch_of = lambda device: arch
launch.sms_of = lambda device: 132
launch.products = lambda *_: None  # torch's, not compiled here
for n in map(int, sys.argv[2:]):
    x, y = torch.randn(2, n, 64)
    scale_log2 = torch.tensor(10.0)
    rows, norm = launch.normalize(x, torch.float16)
    columns, _ = launch.normalize(y, torch.float16)
    launch.diagonal(rows, columns)
    vectors = [torch.ones(n) for _ in range(4)]
    launch.finish(norm, norm > 1, norm, norm, scale_log2, norm, scale_log2)
    chunk = launch.default_chunk(n, torch.float16)
    for offset in (0, 1, 16):
        launch.sums(rows, columns, scale_log2, fixed_shift(scale_log2, n)[0], offset, chunk)
        launch.online_sums(rows, columns, scale_log2, norm > 1, offset)
        g, _, _ = launch.gradient(rows, columns, scale_log2, *vectors, offset, chunk)
    launch.normalize_backward(g, rows, norm, scale_log2, torch.float32)
print(json.dumps(seen))
