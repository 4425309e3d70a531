"""Files of torch.save, read without trusting what they say about their own sizes.

torch.load(weights_only=True) runs no code from a file, but it takes as much memory and time as the
file asks for. So three things are refused:

- compressed entries, because torch.save does not write any;
- tensors that are larger than the bytes that are stored for them;
- nested tuples that would take for ever to hash, which Python does with the keys of a dict.

If a file says that miniclip wrote it, its bytes are also compared with the CRC-32s in the file, so
that a changed bit is noticed.
"""

import io
import itertools
import math
import os
import pickle
import pickletools
import re
import zipfile

import torch

from miniclip.common import UserError, refuse

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # begins the files that are not zip archives
# How much of an old file may be pickles. The pickles of a checkpoint with the released vocabulary
# have 1 MB.
PICKLE_BYTES = 64 << 20
WORK = 10**8  # how many items a pickle may take from its stack


def read(path):
    """What torch.save wrote into a file: tensors on the CPU, numbers, strings, lists and dicts.

    Raises UserError if the file is of another kind, is damaged, asks for too much memory, or has
    changed since miniclip wrote it. Other errors of torch.load are raised as they are.
    """
    with open(path, "rb") as file:
        start, entries = file.read(len(MAGIC)), None
        if start[:2] == b"PK":
            refuse({"it is cut short or damaged": not zipfile.is_zipfile(file)})
            entries = zipfile.ZipFile(file)
            found, names = entries.infolist(), set(entries.namelist())
            # 0x10 marks an entry as a folder: torch would use uninitialized memory as its bytes
            odd = any(entry.compress_type or entry.external_attr & 0x10 for entry in found)
            refuse(
                {
                    "it is a zip of other files; give a file of weights": (
                        not any(name.endswith("data.pkl") for name in names)
                    ),
                    "it is compressed, has folders, or has two entries with the same name": (
                        odd or len(names) < len(found)
                    ),
                }
            )
            check_pickles([entries.read(name) for name in names if name.endswith(".pkl")])
        elif start == MAGIC:  # older than torch 1.6: five pickles, then the numbers
            check_pickles([io.BytesIO(start + file.read(PICKLE_BYTES))] * 5)
        else:
            raise UserError("it is no file of torch.save")
        # torch would believe the name of a path that ends in .safetensors, so it gets the open file
        named = file if str(path).endswith(".safetensors") else path
        file.seek(0)
        try:
            content = torch.load(named, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # torch's own words tell how to load it anyway
            other = re.search(r"nsupported (?:global: )?(?:GLOBAL|class|operand) (\S+)", str(error))
            more = f"it holds more than tensors ({other[1]})" if other else ""
            raise UserError(more or "it is cut short or damaged") from None
        check_tensors(content, os.path.getsize(path))
        if isinstance(content, dict) and is_ours(content):
            whole = entries and not entries.testzip()
            refuse({"its bytes have changed, or it was saved in torch's old format": not whole})
    return content


def is_ours(content):
    """Whether a file says that miniclip wrote it. content: the dict in it, or its metadata."""
    return (
        content.get("format") == "miniclip"
        or content.get("writer") == "miniclip"
        or isinstance(content.get("miniclip"), str)
    )


def check_pickles(pickles):
    """Raise UserError if nested tuples in the pickles could not be hashed in a reasonable time.

    pickles: bytes or open files. The hash of a tuple visits an inner tuple once for every place in
    which it stands, so a few dozen levels can take for ever. This function goes through the steps
    of each pickle without making any object: in place of an object, its stack holds only how many
    items the object has. A bytearray is refused, too.
    """
    stack, marks, memo, work = [], [], {}, 0
    for op, value, _ in itertools.chain.from_iterable(map(pickletools.genops, pickles)):
        if "PUT" in op.name:
            memo[value] = stack[-1]
        below = len(stack) - len(op.stack_before)
        if pickletools.markobject in op.stack_before:
            below = marks.pop() - op.stack_before.index(pickletools.markobject)
        items = sum(stack[below:])
        work += items
        refuse(
            {
                "it holds tuples inside each other without end": work > WORK,
                f"it was saved with pickle protocol {value}, which cannot be read safely; save it "
                "again with protocol 2, torch's default": op.name == "PROTO" and value > 3,
                # torch allows a bytearray of any size, for example bytearray(10**12)
                "it holds more than tensors (bytearray)": (
                    op.name == "GLOBAL" and value.endswith(" bytearray")
                ),
            }
        )
        del stack[below:]
        if op.name == "MARK":
            marks.append(len(stack))
        elif op.stack_after:
            stack.append(memo[value] if "GET" in op.name else 1 + items * ("TUPLE" in op.name))


def check_tensors(content, file_size):
    """Raise UserError if the tensors in nested dicts, lists and tuples ask for too much memory.

    Each must be a plain tensor of real numbers on the CPU that has no more bytes than its storage.
    Together they must have no more than twice the bytes of the file.
    """
    todo, seen, total = [content], set(), 0
    while todo:
        x = todo.pop()
        if isinstance(x, (dict, list, tuple)) and id(x) not in seen:
            seen.add(id(x))
            todo += x.values() if isinstance(x, dict) else x
        if isinstance(x, torch.Tensor):
            plain = x.layout is torch.strided and x.device.type == "cpu" and not x.is_quantized
            size = math.prod(x.shape) * x.element_size()
            # bits8, or float4_e2m1fn_x2 with two numbers in a byte, cannot be converted
            odd = x.is_complex() or re.search("bits|_x2", str(x.dtype))
            whole = plain and not odd and size <= x.untyped_storage().nbytes()
            refuse(
                {
                    f"it holds a tensor of shape {tuple(x.shape)} that is not stored whole, "
                    "or is not a plain tensor of real numbers": not whole
                }
            )
            total += size
    # twice, because two names for one tensor are not unusual
    refuse({f"its tensors have {total:,} bytes, but it has {file_size:,}": total > 2 * file_size})
