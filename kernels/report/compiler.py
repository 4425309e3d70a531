"""What the compiler makes of a kernel, without a GPU: registers, spills, memory, tensor-core code.

Triton compiles ahead of time for any card. cuobjdump and nvdisasm, which come with Triton, read the
result. Left out: speed. A kernel without spills that uses the right instructions can still be slow.
"""

import os
import pathlib
import re
import subprocess
import tempfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TOOLS = pathlib.Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# Of an SM, from the CUDA programming guide's table of compute capabilities: shared memory and the
# most of it that one block may have, in bytes; then the most warps
SHARED_BYTES = {
    80: (164 * 1024, 163 * 1024),
    86: (100 * 1024, 99 * 1024),
    89: (100 * 1024, 99 * 1024),
    90: (228 * 1024, 227 * 1024),
    100: (228 * 1024, 227 * 1024),
    120: (100 * 1024, 99 * 1024),
}
WARPS = {80: 64, 86: 48, 89: 48, 90: 64, 100: 64, 120: 48}
REGISTERS = 65536  # of an SM, on all six


def compiled(kernel, arch, types, constants):
    """One kernel for one architecture. types, constants: from signatures.variant.

    Pointers and the whole numbers that Triton specialises on are taken to be multiples of 16, as they
    are in every launch of launch.py when D is one. Nothing is assumed of M, of N rows and of offset.
    """
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise RuntimeError("nothing compiles under TRITON_INTERPRET=1; unset it")
    names = kernel.arg_names
    options = {key: constants[key] for key in ("num_warps", "num_stages")}
    attributes = {
        (p.num,): [["tt.divisibility", 16]]
        for p in kernel.params
        if types.get(p.name, "").startswith(("*", "i32")) and not p.do_not_specialize
    }
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "constexpr") for name in names},
        constexprs={(names.index(k),): v for k, v in constants.items() if k not in options},
        attrs=attributes,
    )
    options["enable_fp_fusion"] = False  # as launch.py
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def read(binary, arch):
    """What the machine code says: a dict of numbers, all counts unless the name has a unit."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "kernel.cubin")
        path.write_bytes(binary.asm["cubin"])
        usage = _tool("cuobjdump", "--dump-resource-usage", path)
        code = _tool("nvdisasm", "-c", path)
    registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())
    instructions = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", code)

    def count(pattern):
        return sum(bool(re.match(pattern, name)) for name in instructions)

    warps, shared_bytes = binary.metadata.num_warps, binary.metadata.shared
    blocks, limit = blocks_per_sm(arch, registers, warps, shared_bytes)
    return {
        "registers": registers,
        "stack_bytes": stack,
        "local": count(r"LDL|STL"),  # loads and stores of spilled registers
        "shared_bytes": shared_bytes,
        "wgmma": count(r"HGMMA"),
        "mma": count(r"HMMA"),
        "tcgen05": count(r"UTC\w*MMA"),
        "exp2": count(r"MUFU\.EX2"),
        "wide": count(r"LDG(STS)?\..*128"),  # loads of 16 bytes from global memory
        "narrow": count(r"(LDG|STG)\..*U16"),  # loads and stores of a single 16-bit number
        "warps": warps,
        "blocks_per_sm": blocks,
        "limit": limit,
    }


def blocks_per_sm(arch: int, registers: int, warps: int, shared_bytes: int) -> tuple[int, str]:
    """How many blocks an SM holds at once, and the resource that limits them: (count, name)."""
    of_a_warp = -(-registers // 8) * 256  # 8 for each of 32 threads at a time
    of_a_block = -(-(shared_bytes + 1024) // 128) * 128  # CUDA reserves 1 KiB
    fits = {
        "registers": REGISTERS // of_a_warp // warps,
        "shared memory": SHARED_BYTES[arch][0] // of_a_block,
        "warps": WARPS[arch] // warps,
    }
    limit = min(fits, key=fits.get)
    return fits[limit], limit


def _tool(name, *arguments):
    """Standard output of one of NVIDIA's tools."""
    return subprocess.run([TOOLS / name, *arguments], capture_output=True, text=True).stdout
