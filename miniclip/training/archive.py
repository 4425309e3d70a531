"""Files of torch.save, read without trusting what they say of their own sizes.

torch.load(weights_only=True) runs nothing that is in a file, but it takes the memory that the file asks
for. So compressed entries are refused, which torch.save does not write, and so are tensors that are
larger than what is stored of them, and tuples inside each other whose hash would take for ever. A file
that says that miniclip wrote it is also compared with the CRC-32s in it, so that a changed bit is
noticed.
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
PICKLE_BYTES = 64 << 20  # of one; that of a checkpoint with the released vocabulary has 1 MB
WORK = 10**8  # items that are taken from the stack of a pickle


def read(path):
    """What torch.save wrote into a file: tensors on the CPU, numbers, strings, lists and dicts.

    Raises UserError for what takes more memory than the file, or has changed since miniclip wrote it,
    and any error of torch.load.
    """
    with open(path, "rb") as file:
        start, entries = file.read(len(MAGIC)), None
        if start[:2] == b"PK":
            refuse({"it is cut short or damaged": not zipfile.is_zipfile(file)})
            entries = zipfile.ZipFile(file)
            found, names = entries.infolist(), set(entries.namelist())
            # 0x10 says that an entry is a folder, and torch would take what lies in memory for its bytes
            odd = any(entry.compress_type or entry.external_attr & 0x10 for entry in found)
            refuse(
                {
                    "it is a zip of other files; unpack it, and give the weights in it": (
                        not any(name.endswith("data.pkl") for name in names)
                    ),
                    "it is compressed, has folders, or has two entries of one name": (
                        odd or len(names) < len(found)
                    ),
                }
            )
            check_pickles([entries.read(name) for name in names if name.endswith(".pkl")])
        elif start == MAGIC:  # older than torch 1.6: five pickles, then the numbers
            check_pickles([io.BytesIO(start + file.read(PICKLE_BYTES))] * 5)
        else:
            raise UserError("it is no file of torch.save")
        # of a path, torch would believe the suffix .safetensors
        named = file if str(path).endswith(".safetensors") else path
        file.seek(0)
        try:
            content = torch.load(named, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # in torch's words, which say how to trust the file
            other = re.search(r"nsupported (?:global: )?(?:GLOBAL|class|operand) (\S+)", str(error))
            more = f"it holds more than tensors ({other[1]})" if other else ""
            raise UserError(more or "it is cut short or damaged") from None
        check_tensors(content, os.path.getsize(path))
        if isinstance(content, dict) and is_ours(content):
            whole = entries and not entries.testzip()
            refuse({"bytes of it have changed, or torch has saved it in its old format": not whole})
    return content


def is_ours(content):
    """Whether a file says that miniclip wrote it. content: its dict, or its notes."""
    return (
        content.get("format") == "miniclip"
        or content.get("writer") == "miniclip"
        or isinstance(content.get("miniclip"), str)
    )


def check_pickles(pickles):
    """Raise UserError for pickles, bytes or files, in which tuples hold others again and again.

    The hash of a tuple visits all that is in it, however often, and so would run for ever. The stack
    of a pickle is followed here with the number of items in place of each object.
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
        bytearrays = op.name == "GLOBAL" and value.endswith(" bytearray")
        refuse(
            {
                "it holds tuples inside each other without end": work > WORK,
                # torch allows them, of any size: bytearray(10**12)
                "it holds more than tensors (bytearray)": bytearrays,
            }
        )
        del stack[below:]
        if op.name == "MARK":
            marks.append(len(stack))
        elif op.stack_after:
            is_tuple = "TUPLE" in op.name
            stack.append(memo[value] if "GET" in op.name else 1 + items * is_tuple)


def check_tensors(content, file_size):
    """Raise UserError unless all tensors in dicts, lists and tuples inside each other are plain ones,
    of no more bytes than are stored of each, and than twice the file has."""
    todo, seen, total = [content], set(), 0
    while todo:
        x = todo.pop()
        if isinstance(x, (dict, list, tuple)) and id(x) not in seen:
            seen.add(id(x))
            todo += x.values() if isinstance(x, dict) else x
        if isinstance(x, torch.Tensor):
            plain = x.layout is torch.strided and x.device.type == "cpu" and not x.is_quantized
            size = math.prod(x.shape) * x.element_size()
            whole = plain and not x.is_complex() and size <= x.untyped_storage().nbytes()
            refuse(
                {
                    f"it holds a tensor of shape {tuple(x.shape)} that is not stored whole, "
                    "or not as real numbers one after another": not whole
                }
            )
            total += size
    # a second name for each is not unusual
    refuse({f"its tensors have {total:,} bytes, and the file {file_size:,}": total > 2 * file_size})
