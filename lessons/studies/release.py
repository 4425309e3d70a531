"""Make the file of a trained model that comes with the package:

    python lessons/studies/release.py RUN FILE

It is a checkpoint without the optimizer. Matrices and convolutions are in 16 bits, 2 bytes per
parameter. Tensors with one dimension stay in 32 bits: biases, gains, and the averages of batch
norms, whose variances may be below the least normal float16, 6e-5. The card in the file says how
the model was made.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

from miniclip.common import check_output, command, path, refuse
from miniclip.training import checkpoint
from miniclip.weights import reading

OPTIONS = {
    "run": dict(type=path(), help="folder of a finished run of train.py"),
    "file": dict(type=path(), help="to write, such as miniclip/weights/released/icons.pt"),
    "--overwrite": dict(action="store_true", help="replace any file"),
}
FACTS = "command seed steps train_seconds machine zero_shot".split()  # of a run's results.json
KEPT = "config tokenizer options step pairs packages".split()  # of its checkpoint


def release(run, file, overwrite=False):
    """Write the model of the folder of a finished run to `file`; returns its card, a dict.

    overwrite: replace a file that miniclip did not write. Raises UserError

    - if there is no checkpoint;
    - if no results.json is beside it, because the run has not ended;
    - if the file cannot be written, or 16 bits cannot hold the weights.
    """
    check_output(file, reading.by_miniclip, overwrite)
    state = checkpoint.load(Path(run) / "checkpoint.pt", ("model", "config", "tokenizer"))
    results = reading.read_json(Path(run) / "results.json")
    card = {name: fact for name, fact in results.items() if name in FACTS}
    weights = {k: x.half() if x.ndim > 1 else x for k, x in state["model"].items()}
    held = (x.isfinite().all() and x.any() == state["model"][k].any() for k, x in weights.items())
    refuse({f"{run} has weights that 16 bits cannot hold": not (weights and all(held))})
    kept = {name: state[name] for name in KEPT if name in state}
    checkpoint.save(file, kept | dict(model=weights, card=card))
    return card


@command("release.py", "Write a model to be released.", OPTIONS)
def main(run, file, overwrite):
    """The command: write the file, and print its card."""
    card = release(run, file, overwrite)
    print(json.dumps(card, indent=2))
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
