"""What the compiler makes of a kernel, without a GPU: registers, spills, memory, tensor-core code.

Triton compiles ahead of time for any card. cuobjdump and nvdisasm, which come with Triton, read the
result. Left out: speed. A kernel without spills that uses the right instructions can still be slow.
"""

import collections
import functools
import pathlib
import re
import subprocess
import tempfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kernels.fused.signatures import variant

TOOLS = pathlib.Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# {compute capability: (bytes of shared memory of an SM, the most of them that one block may have,
# the most warps of an SM)}, from the CUDA programming guide
LIMITS = {
    80: (164 * 1024, 163 * 1024, 64),
    86: (100 * 1024, 99 * 1024, 48),
    89: (100 * 1024, 99 * 1024, 48),
    90: (228 * 1024, 227 * 1024, 64),
    100: (228 * 1024, 227 * 1024, 64),
    120: (100 * 1024, 99 * 1024, 48),
}
MMA = r"HGMMA|HMMA|UTC\w*MMA"  # a product on tensor cores
REGISTERS = 65536  # of an SM, on all these cards


@functools.cache
def inspect(job: tuple[str, int, str, int]) -> dict:
    """What `read` says about one kernel, and the job itself. job: (name, arch, dtype, d)."""
    name, arch, dtype, d = job
    kernel, types, constants = variant(name, arch, dtype, d)
    return dict(read(kernel, arch, types, constants), kernel=name, arch=arch, dtype=dtype, d=d)


def read(kernel, arch, types, constants):
    """Numbers from the machine code of a kernel for an architecture, a dict.

    All are counts unless the name has a unit. types, constants: from signatures.variant.

    Pointers, and the whole numbers that Triton specialises on, are assumed to be multiples of 16.
    In launch.py they are if D is a multiple of 16. Nothing is assumed about M, N and offset.
    """
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
    options["enable_fp_fusion"] = True  # as launch.py
    binary = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "kernel.cubin")
        path.write_bytes(binary.asm["cubin"])
        usage, code = (
            subprocess.run([TOOLS / tool, option, path], capture_output=True, text=True).stdout
            for tool, option in (("cuobjdump", "--dump-resource-usage"), ("nvdisasm", "-c"))
        )
    registers, stack = map(int, re.search(r"REG:(\d+) STACK:(\d+)", usage).groups())
    instructions = [name for name, *_ in listing(code)]

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
        "epilogue": epilogue(listing(code)),
        # a warp group that only fetches operands has no epilogue
        "warps_differ": binary.metadata.num_warps > 8,
        "warps": min(warps, 8),
        "blocks_per_sm": blocks,
        "limit": limit,
    }


def listing(code: str) -> list[tuple[str, bool, int | None]]:
    """nvdisasm's text -> [(instruction, is it conditional?, index that it branches to or None)]."""
    instructions, labels = [], {}
    pattern = r"^(\.L_\w+):|/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*)"
    for label, condition, name, operands in re.findall(pattern, code, re.M):
        if label:
            labels[label] = len(instructions)
        else:
            to = re.search(r"`\((\.L_\w+)\)", operands) if name.startswith("BRA") else None
            # BRA with a predicate among its operands is conditional too
            conditional = bool(condition) or bool(to and re.match(r"\s*!?U?P\d", operands))
            instructions.append((name, conditional, to and to[1]))
    return [(name, conditional, labels.get(to)) for name, conditional, to in instructions]


def epilogue(instructions: list[tuple]) -> dict[str, int]:
    """What a thread executes for an ordinary tile after its last product: {"instructions", ...}.

    The code also holds branches for rare tiles, and instructions that run once for many tiles. So
    counts over the whole code say little. An ordinary tile takes the shortest way from the last
    product to the end of the code, or back to a place before that product. Only the instructions on
    this way are counted.
    """
    products = [i for i, (name, *_) in enumerate(instructions) if re.match(MMA, name)]
    start = products[-1] + 1 if products else 0
    # the loop over products jumps back before any exponential, the loop over tiles after one
    first = next(
        (i for i, (n, *_) in enumerate(instructions) if i >= start and "EX2" in n),
        len(instructions),
    )
    seen, queue = {start}, collections.deque([[start]])
    while queue:
        way = queue.popleft()
        here = way[-1]
        name, conditional, to = instructions[here]
        is_end = name.startswith("EXIT") and not conditional
        is_back = to is not None and to < start
        if is_end or (is_back and here > first) or here + 1 == len(instructions):
            break
        # a conditional EXIT ends single threads or blocks early; a branch without a target returns
        after = [here + 1] if conditional or not name.startswith(("BRA", "RET")) else []
        after += [] if to is None or is_back else [to]
        queue.extend([*way, following] for following in after if following not in seen)
        seen.update(after)
    names = [instructions[k][0] for k in way]
    exp2, shuffles = (sum(n.startswith(which) for n in names) for which in ("MUFU.EX2", "SHFL"))
    return {"instructions": len(names), "exp2": exp2, "shuffles": shuffles}


def blocks_per_sm(arch: int, registers: int, warps: int, shared_bytes: int) -> tuple[int, str]:
    """How many blocks an SM holds at once, and the resource that limits them: (count, name)."""
    of_a_warp = -(-registers // 8) * 256  # registers are given out 8 at a time, to 32 threads
    of_a_block = -(-(shared_bytes + 1024) // 128) * 128  # CUDA reserves 1 KiB
    fits = {
        "registers": REGISTERS // of_a_warp // warps,
        "shared memory": LIMITS[arch][0] // of_a_block,
        "warps": LIMITS[arch][2] // warps,
    }
    limit = min(fits, key=fits.get)
    return fits[limit], limit
