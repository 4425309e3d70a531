"""What a run will cost, before it is started: `python -m miniclip.cost` (CLIP, section 2.5).

Flop and bytes are counted by running the model without memory (flop.py, activation_memory.py). What
a GPU can do is taken from its data sheet (kernels/cards.py). The time of a run is its flop, divided
by the peak of its cards and by the share of the peak that is reached. This share is a guess, about
the middle of what the paper's two largest runs imply. Left out: loading, evaluation, waiting for
the slowest GPU, failures.
Lesson: lessons/12_cost.md.
"""

import math

import torch

from kernels.cards import GPUS
from kernels.fused.tile_config import default_chunk
from kernels.reference import PRECISIONS
from miniclip.common import checked, refuse
from miniclip.cost.activation_memory import activations
from miniclip.cost.flop import flop_per_pair
from miniclip.data.loader import planned_parts
from miniclip.model.clip import MODELS, named, plain
from miniclip.objectives import from_config
from miniclip.training.monitor import Monitor
from miniclip.training.pairs import make_tokenizer, open_run
from miniclip.weights.convert import initial_state

GIB = 2**30
DAY = 86_400
PAIRS = 12.8e9  # 32 epochs of 400 million pairs

# The share of the peak that is reached, if what checkpointing computes again counts as well. In the
# paper it is 24 % for rn50x64 (18 days on 592 V100s) and 27 % for vit_l14 (12 days on 256 V100s).
UTILISATION = 0.255


@checked
def plan(
    model: str,
    world: int = 1,
    gpu: str = "v100",
    batch_size: int = 32_768,
    precision: str | None = None,
    grad_checkpointing: bool = False,
    micro_batch: int | None = None,
    half_moments: bool = False,
    length: int | None = None,
    utilisation: float = UTILISATION,
    vocab_size: int = 49408,
    pairs: float = PAIRS,
    config: dict | None = None,
) -> dict:
    """The cost of training a model of MODELS, as a dict of numbers (bytes, flop, seconds, days).

    - world: the number of GPUs.
    - gpu: a key of GPUS.
    - batch_size: pairs per step, over all GPUs.
    - precision: of the towers. None means bf16, or fp16 on cards without bf16.
    - micro_batch: how many pairs one GPU has in memory at a time.
    - length: tokens per text. None means the whole context.
    - utilisation: the share of the peak that is reached, from 0 to 1.
    - pairs: how many pairs the run processes, repetitions included (the paper's run: 12.8 billion).
    - config: the model.config to plan for, if it is not that of MODELS. `model` is then only a
      name.

    Raises UserError for unknown names and for impossible sizes.
    """
    config = config or plain(MODELS[named(model)] | {"vocab_size": vocab_size})
    card = GPUS.get(gpu, GPUS["v100"])
    precision = precision or ("bf16" if card["bf16"] else "fp16")
    length = config["context_length"] if length is None else length
    refuse(
        {
            f"no GPU is called {gpu!r}; there are {', '.join(GPUS)}": gpu not in GPUS,
            f"the {gpu} cannot compute in {precision}; it can in "
            f"{', '.join(name for name in PRECISIONS if card.get(name))}": (
                precision not in PRECISIONS or not card.get(precision)
            ),
            f"{world} GPUs cannot share a batch of {batch_size} pairs": not 1
            <= world
            <= batch_size,
            f"a micro-batch has at least 1 pair, not {micro_batch}": micro_batch is not None
            and micro_batch < 1,
            f"a run processes at least 1 pair, and not without end, not {pairs}": (
                not 1 <= pairs < math.inf
            ),
            f"utilisation is a share of the peak, 0 to 1, not {utilisation}": (
                not 0 < utilisation <= 1
            ),
            f"{model} reads 1 to {config['context_length']} tokens, not {length}": (
                not 1 <= length <= config["context_length"]
            ),
        }
    )
    config, parameters, kept, flop = _measured(config, length, precision)
    mine = math.ceil(batch_size / world)  # pairs of one GPU
    parts = planned_parts(batch_size, micro_batch, world) if micro_batch else 1
    together = math.ceil(mine / parts)
    again = flop["forward"] * (together < mine) + flop["recompute"] * grad_checkpointing
    step = mine * (flop["forward"] + flop["backward"] + again)

    losses = loss_costs(batch_size, world, config["embed_dim"])
    pair_bytes = (
        kept["a_pair_checkpointed"] + kept["largest_block"]
        if grad_checkpointing
        else kept["a_pair"]
    )
    picture_bytes = 3 * config["image_size"] ** 2 * 4
    memory = {
        "weights": 4 * parameters,
        "gradients": 4 * parameters,
        "gradients on their way (DDP)": 4 * parameters * (world > 1),
        "Adam's moments": (4 if half_moments else 8) * parameters,
        "weights in " + precision: kept["copies"],
        "the loss": losses["this one"]["bytes"],
    }
    room = card["memory_gib"] * GIB - sum(memory.values())
    memory |= {"pictures": together * picture_bytes, "activations": together * pair_bytes}

    wire = wire_bytes(batch_size, world, config["embed_dim"], parameters)
    # 8 GPUs share a machine and its fast link
    wire_s = sum(wire.values()) / (card["link_gb_s" if world <= 8 else "network_gb_s"] * 1e9)
    compute_s = (step + losses["this one"]["flop"]) / (utilisation * card[precision] * 1e12)
    step_s = max(compute_s, wire_s)  # data is sent while the backward pass still computes
    return dict(
        model=model,
        world=world,
        gpu=gpu,
        batch_size=batch_size,
        precision=precision,
        grad_checkpointing=grad_checkpointing,
        pairs=mine,
        pairs_together=together,
        length=length,
        image_size=config["image_size"],
        utilisation=utilisation,
        parameters=parameters,
        flop=flop | dict(again=again, step=step),
        memory=memory,
        memory_bytes=sum(memory.values()),
        gpu_bytes=card["memory_gib"] * GIB,
        pair_bytes=pair_bytes,
        pairs_that_fit=max(0, int(room // (pair_bytes + picture_bytes))),
        losses=losses,
        loss_share=losses["this one"]["flop"] / step,
        wire=wire,
        compute_s=compute_s,
        wire_s=wire_s,
        step_s=step_s,
        pairs_per_s=batch_size / step_s,
        pairs_in_all=pairs,
        days=pairs / (batch_size / step_s) / DAY,
    )


def plan_run(config):
    """`plan` for the run that train.py would start with these options, a training Config.

    Raises UserError for options whose cost cannot be planned.
    """
    no = "cannot be planned; leave it out"
    refuse(
        {
            f"--freeze {config.freeze} {no}": config.freeze,
            f"what --compile saves {no}": config.compile,
            f"--minutes {no}: how long the run takes is what a plan tells": config.minutes,
            f"--resume {no}: a plan is made for a whole run": config.resume,
            "--pairs and --keep only apply to pairs that are read; leave out --data-pairs": (
                (config.pairs or config.keep) and config.data_pairs
            ),
        }
    )
    config.plan = True
    world, gpu = config.world_size or 1, "h100" if config.gpu is None else config.gpu
    config.precision = config.precision or ("bf16" if GPUS.get(gpu, {}).get("bf16") else "fp16")
    start = initial_state(config.init, config.model, config.activation) if config.init else None
    config.complete(None, start, torch.device("cuda"))
    refuse(
        {
            "a run with --objective sigmoid, whose similarities are held whole, cannot be planned; "
            "the contrastive objectives can": config.objective == "sigmoid"
        }
    )
    shape = start["config"] if start else MODELS[config.model] | {"objective": config.objective}
    if config.data_pairs:
        count, vocab_size = config.data_pairs, 49408 if config.tokenizer else config.vocab_size
    else:
        pairs = open_run(config)
        count = len(pairs.splits["train"])
        vocab_size = None if start else make_tokenizer(pairs, config).vocab_size
    run = Monitor(config, count, {}, None, None)
    return plan(
        config.model,
        world,
        gpu,
        run.batch_size,
        config.precision,
        config.grad_checkpointing,
        config.micro_batch,
        config.half_moments,
        pairs=run.steps * run.batch_size,
        config=shape if start else shape | {"vocab_size": vocab_size},
    )


def _measured(config, length, precision):
    """(config, number of parameters, activations, flop) of a model that takes no memory."""
    with torch.device("meta"):
        net = from_config(config)
    return (
        net.config,
        sum(p.numel() for p in net.parameters()),
        activations(net, length, PRECISIONS[precision]),
        flop_per_pair(net.config, length),
    )


def loss_costs(batch_size, world, width):
    """Three ways to compute the same loss: {name: {'flop', 'bytes'}} for one GPU and one batch.

    A block of r x N similarities takes 2 r N E flop forward and twice that backward. If it is
    stored in float32, four matrices of its size exist at the peak (logits, softmaxes, gradients).
    """
    n, e, rows = batch_size, width, math.ceil(batch_size / world)
    # a chunk of G takes 2 bytes per element; the texts of all ranks and this rank's images take 6,
    # of which 2 are for the features and 4 for their gradients
    scratch = 2 * n * min(default_chunk(n, torch.float16), rows) + 6 * e * (n + rows)
    return {
        "all rows on every GPU": dict(flop=6 * n * n * e, bytes=4 * 4 * n * n),
        # its images against all texts and its texts against all images, so each similarity is
        # computed twice
        "own rows, both ways": dict(flop=12 * rows * n * e, bytes=4 * 4 * rows * n),
        # each similarity is computed once, and again for the backward pass instead of kept
        "this one": dict(flop=8 * rows * n * e, bytes=scratch),
    }


def wire_bytes(batch_size, world, width, parameters):
    """The bytes that one GPU sends in a step: {what: bytes}.

    In a ring of W GPUs each GPU sends (W - 1)/W of the whole tensor for a reduce-scatter or an
    all-gather. An all-reduce is a reduce-scatter and then an all-gather, so it sends twice as much.
    """
    share, n = (world - 1) / world, batch_size
    return {
        "gradients of the weights, all-reduced": 2 * share * 4 * parameters,
        "texts in fp16, gathered": share * n * (2 * width + 8),  # and the matched similarity
        "their gradients, reduce-scattered": share * n * 4 * width,
        "column sums, all-reduced": 2 * share * 3 * 4 * n,  # sums, and merge's maxima and sums
    }


def describe(plan):
    """The dict of `plan` as a table to print, of at most 100 columns."""
    p, flop, memory = plan, plan["flop"], dict(plan["memory"])
    kept = f"activations of {p['pairs_together']:,} x {p['pair_bytes'] / 1e6:.1f} MB"
    memory[kept] = memory.pop("activations")
    uneven = p["batch_size"] % p["world"]
    each = f", at most {p['pairs']} on each" if uneven else f" = {p['world']} x {p['pairs']}"
    return "\n".join(
        [
            f"{p['model']}, {p['parameters']:,} parameters, on {p['world']} x {p['gpu']} | batch "
            f"{p['batch_size']:,}{each} | {p['precision']}"
            f"{' | blocks checkpointed' * p['grad_checkpointing']}",
            "",
            "work for one pair                           Gflop",
            _row(f"forward, the picture ({p['image_size']} px)", flop["image"] / 1e9),
            _row(f"forward, the text ({p['length']} tokens)", flop["text"] / 1e9),
            _row("backward", flop["backward"] / 1e9),
            _row("computed again", flop["again"] / 1e9),
            "",
            "memory of one GPU                             GiB",
            *(_row(name, size / GIB, 2) for name, size in memory.items()),
            _row("together", p["memory_bytes"] / GIB, 2) + f"   {_verdict(p)}",
            "",
            "the loss, on one GPU                        Gflop         GiB",
            *(
                _row(name, cost["flop"] / 1e9) + f" {cost['bytes'] / GIB:11.2f}"
                for name, cost in p["losses"].items()
            ),
            f"  this one is {100 * p['loss_share']:.2g} % of the step's arithmetic",
            "",
            "sent by one GPU in a step                      MB",
            *(_row(name, size / 1e6) for name, size in p["wire"].items()),
            "",
            f"at {100 * p['utilisation']:.3g} % of the {p['gpu']}'s peak, what is computed again included",
            _row("arithmetic of a step, s", p["compute_s"], 2),
            _row("wire, s (while the rest computes)", p["wire_s"], 2),
            _row("pairs a second", p["pairs_per_s"], 0),
            _duration(p["days"], p["pairs_in_all"]),
        ]
    )


def _row(name, value, digits=1):
    return f"  {name:<37} {value:>9,.{digits}f}"


def _duration(days, pairs):
    """The row with the run's time: in days, or in minutes if it takes less than one day."""
    count = f"{pairs / 1e9:.4g} billion" if pairs >= 1e9 else f"{pairs:,}"
    unit, value = ("days", days) if days >= 1 else ("minutes", days * DAY / 60)
    return _row(f"{unit} for {count} pairs", value)


def _verdict(p):
    """Whether the run fits in the card's memory, and what to do if it does not."""
    gib, fit = p["gpu_bytes"] // GIB, p["pairs_that_fit"]
    if p["memory_bytes"] <= p["gpu_bytes"]:
        return f"fits in {gib}"
    more = "" if p["grad_checkpointing"] else ", or keep less of each with --grad-checkpointing"
    advice = f"{fit:,} pairs fit at a time: --micro-batch {fit:,}{more}"
    if not fit:
        advice = f"no pair fits beside the weights: take a larger card than the {p['gpu']}"
        of_batch = ("the loss", "pictures", "activations")
        if sum(n for name, n in p["memory"].items() if name not in of_batch) < p["gpu_bytes"]:
            advice = (
                f"no pair fits beside the loss of {p['batch_size']:,}: take a smaller --batch-size"
            )
    return f"does not fit in {gib}\n  {advice}"
