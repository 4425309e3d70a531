"""The options of a run: what they mean, where they come from, and which of them exclude each other.

Most options are None at first if the command line does not give them. `complete` then takes their
values from the checkpoint if the run is resumed, and otherwise from the recipe of the model
(recipe.py).
"""

import argparse
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

from kernels.cards import GPUS
from miniclip.common import Parser, number, path, refuse
from miniclip.data import BUILT_IN, EMOJI, ICONS, NONE, SOURCE_OPTIONS
from miniclip.data.dataset import some_pairs
from miniclip.distributed.collectives import dist_info
from miniclip.distributed.process_group import told_by_torchrun
from miniclip.model.clip import ALIASES, MODELS, named
from miniclip.objectives import OBJECTIVES, PLAIN
from miniclip.training.recipe import fine_tuning, recipe

COUNT, POSITIVE = number(int, low=1), number(float, low=1e-30)
FLAG = dict(action="store_true", default=None)  # None: it was not given
STUDY = "lessons/studies/objectives.py"  # trains by other objectives, and with ConVIRT's options
HERE = ("contrastive", "contrastive_bow", "sigmoid")  # the objectives of train.py

# {title of a group in --help: {name of an option: the arguments of argparse's add_argument}}
OPTIONS = {
    "what to train": {
        "model": dict(
            help=f"one of {', '.join(MODELS)} (default: rn_mini, or rn_icons with --data icons)"
        ),
        "data": dict(
            help="pairs.csv, a folder, shards, icons or emoji (the default)", type=path(str)
        ),
        "val_data": dict(
            help="hold out the pairs of this other source; the word none holds out nothing "
            "(default: what a column named 'split' holds out, or else a tenth of the pairs)",
            type=path(str),
        ),
        **{name: dict(help=text) for name, text in SOURCE_OPTIONS.items() if name != "cache_dir"},
        "objective": dict(
            help=f"training objective, one of {', '.join(HERE)} "
            "(default: contrastive, or contrastive_bow for rn_icons)",
            choices=[*OBJECTIVES],
            metavar="OBJECTIVE",
        ),
        "projection": dict(
            help=f"kind of projection into the shared space; mlp is for {STUDY} (default: linear)",
            choices=["linear", "mlp"],
        ),
        "temperature": dict(
            help="train with this fixed temperature (default: it is learned)",
            type=number(float, low=0.01),
        ),
        "pairs": dict(help="how many pairs to train on (default: all)", type=some_pairs),
        "keep": dict(
            help="train on the pairs of a list that python -m miniclip.data curate wrote",
            metavar="LIST",
            type=path(str),
        ),
        "vocab_size": dict(
            help="largest vocabulary to learn from the captions",
            type=number(int, low=514, high=1 << 20),
        ),
        "tokenizer": dict(
            help="openai: the released vocabulary (default: learn one from the captions)",
            choices=["openai"],
        ),
        "seed": dict(
            help="seed of the initial weights, the order and the crops (default: 0)",
            type=number(int, low=0, high=2**63 - 1),
        ),
    },
    "fine-tuning (docs/finetuning.md)": {
        "init": dict(
            help="start from these weights: a file, a checkpoint, or a name (icons, web, ViT-B/32)",
            type=path(str),
        ),
        "activation": dict(
            help="activation function of the model, if the file of its weights does not name one",
            choices=["gelu", "quickgelu"],
        ),
        "freeze": dict(help="do not train this tower", choices=["image", "text"]),
    },
    "how long": {
        "epochs": dict(help="passes over the pairs", type=POSITIVE),
        "steps": dict(help="optimizer steps", type=COUNT),
        "minutes": dict(help="wall-clock budget", type=POSITIVE),
    },
    "how (defaults: the model's recipe)": {
        "batch_size": dict(help="pairs per step, over all ranks", type=COUNT),
        "micro_batch": dict(
            help="pairs that the towers take at a time, to save memory", type=COUNT
        ),
        "lr": dict(help="peak learning rate", type=POSITIVE),
        "weight_decay": dict(
            help="weight decay of matrices and embeddings", type=number(float, low=0)
        ),
        "warmup": dict(
            help="share of the run in which the learning rate rises, 0 to 1",
            type=number(float, low=0, high=1),
        ),
        "crop": dict(
            help="smallest side of a random crop, as a share of the picture's short side",
            type=number(float, low=0.01, high=1),
        ),
        "augment": dict(
            help="crop: random crops; icons: drawings are redrawn, turned and thickened; convirt: "
            f"for {STUDY}",
            choices=["crop", "icons", "convirt"],
        ),
        "one_sentence": dict(
            help=f"train on a random sentence of each caption; for {STUDY}", **FLAG
        ),
        "unique_names": dict(
            help="keep pictures that share a name or a caption in different batches, if possible",
            action=argparse.BooleanOptionalAction,
        ),
        "clip_grad": dict(help="largest gradient norm", type=POSITIVE),
        "precision": dict(
            help="number format of the towers (default: fp32 on a CPU; on a GPU bf16, or fp16 if "
            "the GPU only emulates bf16)",
            choices=["fp32", "bf16", "fp16"],
        ),
        "half_moments": dict(help="store AdamW's moments in 16 bits", **FLAG),
        "grad_checkpointing": dict(
            help="compute blocks again in the backward pass: less memory, more time", **FLAG
        ),
        "sync_bn": dict(help="compute batch-norm statistics over all ranks (GPUs only)", **FLAG),
    },
    "where, how often and how fast": {
        "compile": dict(help="torch.compile the model", action="store_true"),
        "out": dict(
            help="folder of the run (default: runs/MODEL with --model MODEL; otherwise runs/tuned "
            "with --init, runs/icons with --data icons, and else runs/rn_mini)",
            type=path(),
        ),
        "resume": dict(
            help="continue the run in --out; if there is none, start one", action="store_true"
        ),
        "save_every": dict(
            help="steps between two checkpoints (default: a checkpoint is due 20 seconds after the "
            "last one, or later if saving is slow)",
            type=COUNT,
        ),
        "log_every": dict(
            help="steps between two log lines (default: 20, or a tenth of a run of less than 200 "
            "steps)",
            type=COUNT,
        ),
        "log": dict(
            help="also log to TensorBoard or Weights & Biases", choices=["tensorboard", "wandb"]
        ),
        "eval_every": dict(
            help="steps between two measurements on held-out pairs, 0 for none (default: after "
            "each epoch, or less often if measuring would take more than a tenth of the time)",
            type=number(int, low=0),
        ),
        "cache_dir": dict(help=SOURCE_OPTIONS["cache_dir"], type=path(str)),
        "device": dict(help="auto, cpu, cuda, cuda:1, mps", default="auto"),
        "threads": dict(help="CPU threads of torch", type=number(int, low=1, high=1024)),
        "workers": dict(
            help="number of loading processes (default: on a CPU 0; on a GPU one less than this "
            "rank's share of the cores, but at least 1 and at most 16)",
            type=number(int, low=0, high=512),
        ),
    },
    "what it would cost, instead of training (also: python -m miniclip.cost)": {
        "plan": dict(
            help="print the flop, the memory, the bytes that a GPU sends to the others, and the time",
            action="store_true",
        ),
        "world_size": dict(help="number of GPUs (default: 1)", type=COUNT),
        "gpu": dict(help=f"kind of GPU, one of {', '.join(GPUS)} (default: h100)"),
        "data_pairs": dict(
            help="plan for this number of pairs, without reading --data", type=number(int, low=2)
        ),
    },
}
WHAT, TUNING, LONG, HOW, *_ = OPTIONS.values()
OF_RUN = WHAT | TUNING | LONG | HOW  # these define a run; others may change when it is resumed


class Config(SimpleNamespace):
    """The options of a run. Each option is an attribute of the same name.

    The attributes beta2 and eps have no options. The recipe sets them. The attribute typed holds
    the words of the command line.
    """

    study = False  # whether these are the options of STUDY

    @classmethod
    def parse(cls, argv, prog, description):
        """The options on a command line. A mistake ends the program with a sentence and code 2."""
        parser = Parser(prog=prog, description=description)
        for title, options in OPTIONS.items():
            group = parser.add_argument_group(title)
            group = group.add_mutually_exclusive_group() if options is LONG else group
            for name, how in options.items():
                group.add_argument(spelled(name), **how)
        config = cls(beta2=None, eps=None, **vars(parser.parse_args(argv)))
        config.typed = sys.argv if argv is None else [prog, *map(str, argv)]
        if isinstance(config.pairs, str):
            parser.renamed("--pairs LIST", "--keep LIST")
            config.pairs, config.keep = None, config.keep or config.pairs
        if config.plan and told_by_torchrun("WORLD_SIZE", 1) > 1:
            parser.error("one process makes a plan; give --world-size in place of torchrun")
        config.model = ALIASES.get(config.model, config.model)
        usual = "tuned" if config.init else ICONS if config.data == ICONS else "rn_mini"
        config.out = config.out or Path("runs") / (config.model or usual)
        return config

    def of_run(self):
        """{name: value} of the options that define the run, as a checkpoint stores them."""
        return {name: getattr(self, name) for name in (*OF_RUN, "beta2", "eps")}

    def complete(self, saved, start, device):
        """Fill in the options that were not given.

        saved: the checkpoint if the run is resumed, otherwise None. start: `saved` if the run is
        resumed, otherwise the weights of --init, or None without --init. device: a torch.device.
        Raises UserError if options exclude each other, or if one differs from the run that is
        resumed.
        """
        begun, crop_given = PLAIN | (start["config"] if start else {}), self.crop and not saved
        if saved:
            self._take({name: begun[name] for name in PLAIN} | saved["options"])
        elif self.init:
            self.model = start["config"]["name"] or "unnamed"
        self.data = None if self.data == EMOJI else self.data
        if self.model is None:
            self.model = "rn_icons" if self.data == ICONS else "rn_mini"
        if not start:
            named(self.model)  # raises UserError for an unknown name
        flags = [name for name, how in OF_RUN.items() if how.get("action") == "store_true"]
        defaults = dict.fromkeys(flags, False) | {name: begun[name] for name in PLAIN}
        defaults |= dict(seed=0, precision=self.precision or default_precision(device))
        defaults |= (fine_tuning if self.init else recipe)(self.model)
        replaced = {"epochs": self.steps or self.minutes, "vocab_size": self.tokenizer}
        for name, value in defaults.items():
            if getattr(self, name) is None and not replaced.get(name):
                setattr(self, name, value)
        self.check(begun, crop_given, device)

    def _take(self, saved):
        """Take the options in a checkpoint. Raises UserError if a value in it is not possible, or
        if the command line gives another value."""
        saved = saved | {"data": saved.get("data") or EMOJI}
        if isinstance(saved.get("pairs"), str):  # a list, which older versions gave with --pairs
            saved |= dict(pairs=None, keep=saved["pairs"])
        for name, how in OF_RUN.items():
            value = saved.get(name)
            try:
                kind = bool if "action" in how else type(how.get("type", str)(str(value)))
            except argparse.ArgumentTypeError:
                kind = None
            possible = value is None or type(value) is kind and value in how.get("choices", [value])
            refuse({f"the checkpoint's {spelled(name)} cannot be {value!r:.80}": not possible})
        lengths = [saved.get(name) for name in ("epochs", "steps", "minutes")]
        refuse(
            {
                "the checkpoint must hold a seed and exactly one of epochs, steps and minutes": (
                    saved.get("seed") is None or lengths.count(None) != 2
                )
            }
        )
        for name in ("data", "val_data", "keep", "icons"):
            now, then = getattr(self, name), saved.get(name)
            if now and then and {now, then}.isdisjoint((*BUILT_IN, NONE)):
                # the files may have been moved; open_run checks later that they are the same pairs
                saved = saved | {name: now}
        for name, now in self.of_run().items():
            then = saved.get(name)
            without = then is None or then is False
            before = f"without {spelled(name)}" if without else f"with {spelled(name)} {then}"
            refuse(
                {
                    f"{self.out} was started {before}, and this command gives {now}; to start a new run "
                    "from its weights, choose another --out, and add "
                    f"--init {self.out / 'checkpoint.pt'}": (
                        now is not None and now != then  # a given 0 counts
                    )
                }
            )
        vars(self).update({name: saved.get(name) for name in self.of_run()})

    def check(self, begun, crop_given, device):
        """Raise UserError if options exclude each other. begun: the config of the weights that the
        run starts from, or PLAIN for random weights. crop_given: whether --crop was given for a new
        run."""
        rank, world = dist_info()
        layers = (MODELS.get(self.model) or begun)["vision_layers"]
        init, brings = f"--init {self.init}", "--init" if self.init else "--tokenizer"
        both = self.compile and self.grad_checkpointing and not isinstance(layers, int)
        # find_spec also finds a folder that has the package's name, but gives it no origin
        package = self.log and importlib.util.find_spec(self.log)
        refuse(
            {
                "--world-size, --gpu and --data-pairs only apply to a plan; add --plan": (
                    not self.plan and {self.world_size, self.gpu, self.data_pairs} != {None}
                ),
                f"--log {self.log} needs: pip install 'miniclip[{self.log}]'": (
                    self.log and rank == 0 and not getattr(package, "origin", None)
                ),
                f"{init} was trained with --objective {begun['objective']}, not {self.objective}": (
                    self.init and begun["objective"] != self.objective
                ),
                f"{init} was trained with --projection {begun['projection']}, not "
                f"{self.projection}": (self.init and begun["projection"] != self.projection),
                f"--objective {self.objective} is trained by python {STUDY}": (
                    not self.study and self.objective not in HERE
                ),
                f"--projection mlp, --one-sentence and --augment convirt are for python {STUDY}": (
                    not self.study
                    and (
                        self.one_sentence
                        or self.augment == "convirt"
                        or (self.projection == "mlp" and not self.init)
                    )
                ),
                f"--vocab-size only applies when a vocabulary is learned; {brings} brings one": (
                    self.vocab_size and (self.init or self.tokenizer)
                ),
                f"{init} brings its own vocabulary; leave out --tokenizer {self.tokenizer}": (
                    self.init
                    and self.tokenizer
                    and begun.get("tokenizer") not in (None, self.tokenizer)
                ),
                f"--freeze {self.freeze} keeps a tower as --init gives it; add --init": (
                    self.freeze and not self.init
                ),
                "--activation only applies to the weights of --init; add --init": (
                    self.activation and not self.init
                ),
                "--pairs and --keep exclude each other; give one of them": self.pairs and self.keep,
                "--crop only applies to random crops, and --augment icons makes none; add --augment crop": (
                    crop_given and self.augment == "icons"
                ),
                f"--objective {self.objective} trains in one process, not in {world}": (
                    world > 1 and not self.objective.startswith("contrastive")
                ),
                "--compile does not support --objective sigmoid; leave out --compile": (
                    self.objective == "sigmoid" and self.compile
                ),
                "--micro-batch does not support --objective sigmoid; leave out --micro-batch": (
                    self.objective == "sigmoid" and self.micro_batch
                ),
                "--compile with --grad-checkpointing updates the batch-norm statistics of a ResNet "
                f"twice per batch before torch 2.9, and this is {torch.__version__}; leave one out": (
                    both and torch.__version__ < (2, 9)
                ),
                "--sync-bn needs GPUs: torch has no synchronized batch norm for CPUs": (
                    self.sync_bn and device.type != "cuda"
                ),
                f"--device mps trains in fp32 only, not with --precision {self.precision}": (
                    self.precision != "fp32" and device.type == "mps"
                ),
                "--batch-size 1 has no other pair to compare a pair with; give at least 2": (
                    self.batch_size == 1 and self.objective.startswith("contrastive")
                ),
                f"--batch-size {self.batch_size} leaves some of {world} ranks without a pair; give "
                f"at least {world}": self.batch_size < world,
            }
        )


def default_precision(device):
    """bf16 on a GPU, or fp16 if the GPU only emulates bf16, which is slow; fp32 elsewhere."""
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def spelled(name):
    """An option as it is written on the command line."""
    return "--" + name.replace("_", "-")
