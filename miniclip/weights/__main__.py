"""Write a model for other programs: python -m miniclip.weights export FILE OUT --format onnx

With onnx, OUT is a folder with image.onnx and text.onnx, one file for each tower. image.onnx takes
pictures (N, 3, S, S) from preprocess, and text.onnx takes tokens (N, context_length) from the
tokenizer. N may be any number. The features are not normalized. With huggingface, OUT is a folder
for transformers. With open_clip, it is a file for open_clip, and the name of its model is printed
(docs/weights.md).
"""

import copy
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from miniclip.common import check_new, checked, command, path, refuse, replacing_all
from miniclip.model.clip import CLIP
from miniclip.weights.architecture import to_write
from miniclip.weights.convert import load, save_openclip
from miniclip.weights.huggingface import save_huggingface

OPTIONS = {
    "export": dict(choices=["export"], help="the only command"),
    "checkpoint": dict(type=path(str), help="the weights: a file, a folder or a name"),
    "out": dict(type=path(), help="what to write: for open_clip a file, otherwise a folder"),
    "--format": dict(choices=["onnx", "huggingface", "open_clip"], required=True),
    "--half": dict(action="store_true", help="for onnx: weights and features in float16"),
    "--activation": dict(choices=["gelu", "quickgelu"]),
    "--overwrite": dict(action="store_true"),
}


class _Image(torch.nn.Sequential):
    """_Image(model) encodes pictures, with the whole projection: model.visual lacks an MLP's."""

    def forward(self, images):
        return self[0].encode_image(images)


class _Text(torch.nn.Sequential):
    """_Text(model) is the model's text tower as a module, so that torch.export takes it."""

    def forward(self, tokens):
        return self[0].encode_text(tokens)


@torch.autocast("cpu", enabled=False)  # or the files would hold operations in 16 bits
@checked
def save_onnx(model: CLIP, folder: str | Path, half: bool = False, overwrite: bool = False) -> None:
    """Write image.onnx and text.onnx into a folder. half: weights and features in float16.

    overwrite: replace files that exist. If one of them is a link, the link is replaced, and the
    file that it leads to stays as it is.

    Raises UserError if onnxscript is not installed, if a file is there and overwrite is False, if a
    file is write-protected, if a tower does not fit into a file of ONNX, or if float16 cannot hold
    the weights.
    """
    refuse({"onnx needs: pip install onnxscript": find_spec("onnxscript") is None})
    size, length = model.config["image_size"], model.config["context_length"]
    dtype = torch.float16 if half else torch.float32
    for name in ("image.onnx", "text.onnx"):
        check_new(Path(folder) / name, overwrite)
    to_write(folder, model)  # raises if a weight is NaN or infinite
    model = copy.deepcopy(model).eval().to("cpu", dtype)  # the caller's model is not changed
    of_pictures, whole = (
        sum(x.nbytes for x in m.state_dict().values()) for m in (model.visual, model)
    )
    refuse(
        {
            "a tower of this model has more than 2 GiB, which a file of ONNX cannot hold; --half "
            "halves it": max(of_pictures, whole - of_pictures) >= 1 << 31,
            "float16 cannot hold the weights of this model, which are too large; leave out --half": (
                not all(x.isfinite().all() for x in model.state_dict().values())
            ),
        }
    )
    towers = {
        "image.onnx": (_Image(model), torch.zeros(2, 3, size, size, dtype=dtype, device="cpu")),
        "text.onnx": (_Text(model), torch.zeros(2, length, dtype=torch.long, device="cpu")),
    }
    free = ({0: torch.export.Dim("batch", min=1)},)
    made = {
        name: torch.onnx.export(
            torch.export.export(tower, (example,), dynamic_shapes=free),
            (),
            verbose=False,
            output_names=["features"],
        )
        for name, (tower, example) in towers.items()
    }
    # a function makes the bytes, so that those of one tower at a time are in memory
    contents = {
        Path(folder) / name: lambda file, program=program: file.write(
            program.model_proto.SerializeToString()
        )
        for name, program in made.items()
    }
    # the towers of two models must not be left beside each other
    with replacing_all(contents, overwrite):
        pass


@command("python -m miniclip.weights", "Write a model for other programs.", OPTIONS)
def main(export, checkpoint, out, format, half, activation, overwrite):
    """The command. export: always "export", because there is no other command."""
    refuse({"--half only applies to --format onnx": half and format != "onnx"})
    warnings.filterwarnings("ignore", ".*treespec", FutureWarning)  # about torch 2.13's own code
    model, tokenizer, _ = load(checkpoint, activation=activation)
    if format == "onnx":
        save_onnx(model, out, half, overwrite)
    elif format == "huggingface":
        save_huggingface(model, out, tokenizer, overwrite)
    else:
        # with another name open_clip would use another activation, and say nothing
        format += f"'s {save_openclip(model, out, overwrite=overwrite)}"
    print(f"{out}: {format}, from {checkpoint}")


if __name__ == "__main__":
    main()
