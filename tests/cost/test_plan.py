"""The plan against what it stands for: torch's own counts, real tensors, and the paper's days."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import train
from miniclip import MODELS, create_model, load
from miniclip.cost import __main__ as cost
from miniclip.cost import plan as plan_module
from miniclip.cost.activation_memory import activations
from miniclip.cost.flop import flop_per_pair
from miniclip.cost.plan import (
    DAY,
    GIB,
    GPUS,
    PAIRS,
    PAPER,
    UTILISATION,
    describe,
    loss_costs,
    paper_run,
    plan,
    plan_run,
    wire_bytes,
)
from miniclip.loss import clip_loss, contrastive_loss
from miniclip.training.config import Config
from tests.losses import Watch
from tests.runs import final, run

SMALL = ["rn_mini", "vit_mini"]
FLOP = ["rn50", "vit_l14", *SMALL]


def on_meta(name, **overrides):
    with torch.device("meta"):
        return create_model(name, **overrides)


def inputs(model, count, length, device="meta"):
    size = model.config["image_size"]
    images = torch.zeros(count, 3, size, size, device=device)
    return images, torch.zeros(count, length, dtype=torch.long, device=device)


# --- sums worked by hand


def test_the_loss_costs_what_its_blocks_do():
    """25 rows of one of four ranks against 97 columns of width 8."""
    assert loss_costs(97, 4, 8) == {
        "all rows on every GPU": dict(flop=451_632, bytes=150_544),  # 6 x 97^2 x 8, 16 x 97^2
        "own rows, both ways": dict(flop=232_800, bytes=38_800),  # 12 x 25 x 97 x 8, 16 x 25 x 97
        # 8 x 25 x 97 x 8; G: 25 x 97 x 2; 122 rows of width 8 in 16 and in 32 bits
        "this one": dict(flop=155_200, bytes=4_850 + 122 * 8 * 6),
    }
    # at 65,536 pairs a chunk of G is 2,048 rows, 256 MiB
    assert loss_costs(65_536, 2, 1)["this one"]["bytes"] == 2**28 + 98_304 * 6


def test_three_quarters_of_everything_leave_one_of_four_gpus():
    assert list(wire_bytes(100, 4, 8, 1000).values()) == [
        6000,  # 3/4 of 1000 float32, twice
        1800,  # 3/4 of 100 rows of 8 float16 and a float64
        2400,  # 3/4 of 100 rows of 8 float32
        1800,  # 3/4 of 100 float32, twice, three times
    ]
    assert sum(wire_bytes(100, 1, 8, 1000).values()) == 0


MEASURED = (
    dict(embed_dim=8, image_size=10, context_length=77),
    10**6,
    dict(a_pair=5000, a_pair_checkpointed=700, largest_block=300, copies=12),
    dict(image=10**6, text=2 * 10**6, forward=3 * 10**6, backward=5 * 10**6, recompute=2 * 10**6),
)


@pytest.fixture
def measured(monkeypatch):
    """A model of a million parameters with round numbers; runs of the paper cost nothing."""
    monkeypatch.setattr(plan_module, "_measured", lambda *how: MEASURED)
    monkeypatch.setattr(plan_module, "PAPER", [])


# three T4 share 100 pairs: 34 of one GPU in 4 even parts of at most 9, checkpointed, at half of the peak
THREE = dict(world=3, gpu="t4", batch_size=100, micro_batch=10, grad_checkpointing=True)
OF_THREE = {
    "pairs": 34,
    "pairs_together": 9,
    "precision": "fp16",
    "length": 5,
    "again": 5 * 10**6,  # forward for the micro-batches, and the blocks again
    "step": 34 * 13 * 10**6,
    "memory": {
        "weights": 4 * 10**6,
        "gradients": 4 * 10**6,
        "gradients on their way (DDP)": 4 * 10**6,
        "Adam's moments": 8 * 10**6,
        "weights in fp16": 12,
        "the loss": 13_232,  # 34 x 100 x 2 + 134 x 8 x 6
        "pictures": 9 * 3 * 10 * 10 * 4,
        "activations": 9 * (700 + 300),
    },
    "memory_bytes": 20_033_044,
    "gpu_bytes": 16 * 2**30,
    "pair_bytes": 1000,
    "pairs_that_fit": 7_799_934,  # 2^34 - 20,013,244 bytes hold so many of 1,000 + 1,200 bytes
    "loss_share": pytest.approx(217_600 / 442e6),
    "compute_s": pytest.approx(442_217_600 / 32.5e12),
    "wire_s": pytest.approx(5_338_666.67 / 16e9),
    "step_s": pytest.approx(5_338_666.67 / 16e9),
    "pairs_per_s": pytest.approx(299_700.3, rel=1e-6),
    "days": pytest.approx(0.494325, rel=1e-5),
}
# one GPU alone sends nothing, and takes the batch whole
ALONE_S = pytest.approx((32_768 * 8e6 + 8 * 32_768**2 * 8) / 65e12)
OF_ONE = {
    "world": 1,
    "gpu": "t4",
    "batch_size": 32_768,
    "pairs_together": 32_768,
    "length": 77,
    "again": 0,
    "pair_bytes": 5000,
    "gradients on their way (DDP)": 0,
    "Adam's moments": 4 * 10**6,
    "wire_s": 0,
    "compute_s": ALONE_S,
    "step_s": ALONE_S,
}


@pytest.mark.parametrize(
    "how, want",
    [
        (THREE | dict(length=5, utilisation=0.5), OF_THREE),
        (dict(gpu="t4", half_moments=True, utilisation=1), OF_ONE),
        (dict(gpu="a100"), {"precision": "bf16"}),
        ({}, {"gpu": "v100"}),
    ],
)
def test_a_plan_adds_up(how, want, measured):
    p = plan("vit_mini", **how)
    p = p | p["memory"] | p["flop"]
    assert {key: p[key] for key in want} == want


@pytest.mark.parametrize(
    "how", [dict(length=1), dict(length=32), dict(micro_batch=1), dict(batch_size=1)]
)
def test_the_least_and_the_most_that_can_be_planned(how, measured):
    assert plan("vit_mini", **how)["days"] > 0


def test_the_paper_s_share_of_the_peak_is_flop_over_days(monkeypatch):
    """10 V100s at 125 Tflop/s for 2 days make 2.16e20 flop; 12.8e9 pairs of 3 and 0.9 Gflop."""
    flop = dict(forward=1e9, backward=2e9, recompute=0.9e9)
    monkeypatch.setattr(plan_module, "flop_per_pair", lambda config: flop)
    run = paper_run.__wrapped__("vit_mini", 10, 2)
    assert (run["model"], run["world"], run["days"]) == ("vit_mini", 10, 2)
    peak = 10 * 2 * 24 * 3600 * 125e12
    assert (PAIRS, DAY, UTILISATION, peak) == (12.8e9, 86_400, 0.255, 2.16e20)
    assert run["model_utilisation"] == pytest.approx(38.4e18 / 216e18)
    assert run["utilisation"] == pytest.approx(49.92e18 / 216e18)
    assert run["predicted_days"] == pytest.approx(2 * 0.231111 / 0.255, rel=1e-5)


@pytest.mark.parametrize("model, gpu", [("vit_b32", "t4"), ("vit_l14", "v100")])
def test_the_advice_for_what_does_not_fit_is_the_largest_that_fits(model, gpu, monkeypatch):
    whole = plan(model, 8, gpu, 8192)
    fit = whole["pairs_that_fit"]
    assert f"does not fit in {whole['gpu_bytes'] // GIB}\n  {fit:,} pairs fit" in describe(whole)
    assert f"--micro-batch {fit:,}, or" in describe(whole)
    for micro_batch, fits in ((fit, True), (2 * fit, False)):
        p = plan(model, 8, gpu, 8192, micro_batch=micro_batch)
        assert (p["memory_bytes"] <= p["gpu_bytes"]) == fits == (" fits in " in describe(p))
    monkeypatch.setitem(GPUS, gpu, GPUS[gpu] | dict(memory_gib=1))
    assert "no pair fits beside the weights: take a larger card" in describe(plan(model, 1, gpu))


# --- the run that train.py would start


def run_of(*arguments):
    return plan_run(Config.parse([str(a) for a in arguments], "cost", ""))


def test_a_plan_is_of_the_run_that_the_same_options_start(pairs_csv, tmp_path, capsys):
    options = ["--data", pairs_csv, "--batch-size", 8, "--epochs", 1.5, "--vocab-size", 540]
    planned = run_of(*options)
    assert run(pairs_csv, tmp_path / "run", "--epochs", 1.5, "--vocab-size", 540) == 0
    state = final(tmp_path / "run")
    assert planned["pairs_in_all"] == 8 * state["step"]
    count = sum(p.numel() for p in load(tmp_path / "run/checkpoint.pt")[0].parameters())
    assert planned["parameters"] == count
    capsys.readouterr()
    for main, more in ((train.main, ["--plan"]), (cost.main, [])):
        assert main([str(a) for a in [*more, *options, "--out", tmp_path / "none"]]) == 0
        assert capsys.readouterr().out == describe(planned) + "\n"
    assert not (tmp_path / "none").exists()


def test_options_of_the_run_change_its_plan_or_are_refused(pairs_csv):
    base = ["--data", pairs_csv, "--batch-size", 8]
    plain = run_of(*base, "--epochs", 2)
    assert plain["model"] == "rn_mini" and run_of("--data", "icons")["model"] == "rn_icons"
    for free in (["--lr", 1], ["--seed", 3], ["--unique-names"], ["--temperature", 0.1]):
        assert run_of(*base, "--epochs", 2, *free) == plain, free
    assert run_of(*base, "--epochs", 4)["pairs_in_all"] == 2 * plain["pairs_in_all"]
    assert run_of(*base, "--steps", 7)["pairs_in_all"] == 56
    assert run_of(*base, "--pairs", 16, "--epochs", 2)["pairs_in_all"] == 32
    paper = ["--model", "vit_l14", "--batch-size", 32_768, "--data-pairs", 400_000_000]
    found = run_of(*paper, "--world-size", 256, "--gpu", "v100", "--grad-checkpointing")
    assert found["days"] == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("--freeze image", "--freeze.* cannot be planned"),
        ("--init x", "--init.* cannot be planned"),
        ("--compile", "--compile.* cannot be planned"),
        ("--minutes 3", "--minutes.* cannot be planned"),
        ("--resume", "--resume.* cannot be planned"),
        ("--gpu abacus", "abacus"),
        ("--objective sigmoid", "sigmoid"),
        ("--data-pairs 5 --pairs 3", "--data-pairs"),
        ("--data-pairs 5 --keep x", "--data-pairs"),
    ],
)
def test_a_run_that_cannot_be_planned_is_refused(wrong, words, pairs_csv):
    with pytest.raises(ValueError, match=words):
        run_of("--data", pairs_csv, "--batch-size", 8, *wrong.split())


# --- what is counted


def by_formula(model, length):
    """(forward, backward) flop of one pair, from shapes: 2 k^2 C C' for a cell of a convolution's
    output, 24 L D^2 + 4 L^2 D for a block, and every product twice in the backward pass."""
    config, convolutions = model.config, []

    def add(conv, args, out):
        convolutions.append(2 * conv.weight.numel() * out[0, 0].numel())

    def tower(layers, width, length):
        blocks = layers * (24 * length * width**2 + 4 * length**2 * width)
        return blocks + 2 * width * config["embed_dim"]

    for conv in model.modules():
        if isinstance(conv, torch.nn.Conv2d):
            conv.register_forward_hook(add)
    image, _ = inputs(model, 2, length)
    model.encode_image(image)
    if convolutions:  # a ResNet; its pool has one query, and a key and a value for each cell
        width, grid = model.visual.attnpool.q_proj.in_features, model.visual.attnpool.grid
        cells, first = grid**2 + 1, convolutions[0]
        pool = 4 * cells * width**2 + 4 * cells * width + 2 * width * (width + config["embed_dim"])
        image = sum(convolutions) + pool
    else:
        width, patch = config["vision_width"], config["vision_patch"]
        cells = (config["image_size"] // patch) ** 2
        first = 2 * cells * 3 * patch**2 * width
        image = first + tower(config["vision_layers"], width, cells + 1)
    forward = image + tower(config["text_layers"], config["text_width"], length)
    return forward, 2 * forward - first  # nobody asks for the gradient by the pixels


@pytest.mark.parametrize("name", FLOP)
def test_the_flop_are_those_of_the_formulas(name):
    model = on_meta(name, vocab_size=600)
    context = model.config["context_length"]
    for length in (context, 5)[: 1 + (name in SMALL)]:
        flop = flop_per_pair(model.config, length)
        assert (flop["forward"], flop["backward"]) == by_formula(model, length), length
        assert flop["forward"] == flop["image"] + flop["text"]


@settings(max_examples=8)
@given(
    stages=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    width=st.sampled_from([4, 6, 8]),
    cells=st.integers(1, 3),
    length=st.integers(1, 9),
)
def test_so_are_those_of_any_resnet(stages, width, cells, length):
    model = on_meta(
        "rn_mini",
        vocab_size=600,
        vision_layers=stages,
        vision_width=width,
        vision_heads=2,
        image_size=cells * 2 ** (len(stages) + 1),
    )
    flop = flop_per_pair(model.config, length)
    assert (flop["forward"], flop["backward"]) == by_formula(model, length)


@pytest.mark.parametrize("name", ["vit_b32", *SMALL])
def test_checkpointing_computes_no_more_again_than_is_planned(name):
    model = on_meta(name, checkpointing=True)
    image, text, _ = model(*inputs(model, 2, 32), normalize=False)
    with FlopCounterMode(display=False) as counter:
        (image.sum() + text.sum()).backward()
    flop = flop_per_pair(model.config, 32)
    again = counter.get_total_flops() / 2 - flop["backward"]
    assert 0.6 * flop["recompute"] < again <= flop["recompute"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype, within", [(torch.float32, 0.02), (torch.bfloat16, 0.1)])
def test_the_activations_are_what_autograd_keeps_of_real_tensors(name, dtype, within):
    model = create_model(name, vocab_size=600)
    length, kept = 11, {}

    def keep(x):
        kept[x.untyped_storage()._cdata] = x.untyped_storage()
        return x

    def bytes_of(count):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                model(*inputs(model, count, length, "cpu"), normalize=False)
        return sum(storage.nbytes() for storage in kept.values())

    real = bytes_of(3) - bytes_of(2)  # the weights cancel
    ours = activations(on_meta(name, vocab_size=600), length, dtype)["a_pair"]
    assert ours == pytest.approx(real, rel=within), f"{ours:,} against {real:,}"


def test_the_weights_of_products_are_copied_to_16_bits_once():
    """Six blocks with 12 D^2 weights and 9 D biases, and two projections D x D; D = 128."""
    model = on_meta("vit_mini")
    assert activations(model, 32, torch.float32)["copies"] == 0
    want = 2 * (6 * (12 * 128**2 + 9 * 128) + 2 * 128**2)
    assert activations(model, 32, torch.bfloat16)["copies"] == want
    assert activations(model, 9, torch.float16)["copies"] == want


def test_one_more_block_keeps_its_input_only():
    four, five = (
        activations(on_meta("vit_mini", vision_layers=depth), 32, torch.float32) for depth in (4, 5)
    )
    assert five["a_pair_checkpointed"] - four["a_pair_checkpointed"] == 17 * 128 * 4  # L D floats
    assert five["largest_block"] == four["largest_block"]
    # beside the inputs of all 4 + 2 blocks it keeps at least the patches, in front of the first
    inputs = 4 * 17 * 128 * 4 + 2 * 32 * 128 * 4
    assert four["a_pair_checkpointed"] >= inputs + 3 * 64 * 64 * 4
    # and without checkpointing about 16 times that: 4 norms and their scales, q, k, v, 2 x 4 in the MLP
    assert 14 < (five["a_pair"] - four["a_pair"]) / (17 * 128 * 4) < 18


@pytest.mark.parametrize("n, e", [(256, 8), (300, 16)])
def test_the_loss_written_out_holds_four_squares(n, e):
    image, text = torch.randn(2, n, e, requires_grad=True).unbind()
    with Watch() as watch:
        clip_loss(image, text, torch.tensor(2.0)).backward()
    cost = plan("vit_mini", batch_size=n)["losses"]["all rows on every GPU"]
    assert watch.peak_bytes == pytest.approx(cost["bytes"], rel=0.25), watch.peak_bytes


def test_the_loss_s_flop_are_those_torch_counts():
    n, e, rows = 96, MODELS["vit_mini"]["embed_dim"], 24
    scale = torch.tensor(2.0)

    def product(into, a, b, *rest, out_shape=None, **more):
        return 2 * a[0] * a[1] * b[1]

    in_place = {torch.ops.aten.addmm_: product}  # which torch's counter does not know

    def own_rows(image, text, scale):  # of one rank of four, both ways
        by_image, by_text = scale * image[:rows] @ text.T, scale * text[:rows] @ image.T
        return by_image.logsumexp(1).sum() + by_text.logsumexp(1).sum()

    ways = {"all rows on every GPU": (clip_loss, 1), "this one": (contrastive_loss, 1)}
    ways["own rows, both ways"] = own_rows, n // rows
    for name, (loss, world) in ways.items():
        image, text = torch.randn(2, n, e, requires_grad=True).unbind()
        with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
            loss(image, text, scale).backward()
        cost = plan("vit_mini", world, batch_size=n)["losses"][name]
        assert counter.get_total_flops() == cost["flop"], name


@pytest.mark.parametrize("name, world, days", PAPER)
def test_the_paper_s_days_come_out_at_the_stated_utilisation(name, world, days):
    p = plan(name, world, "v100", grad_checkpointing=True)
    assert p["days"] == pytest.approx(days, rel=0.1)
    run = next(run for run in p["paper"] if run["model"] == name)
    exact = plan(name, world, "v100", grad_checkpointing=True, utilisation=run["utilisation"])
    # but for the last of 592 GPUs, which waits: 32,768 pairs do not divide among them
    assert exact["days"] == pytest.approx(days, rel=0.02)
    assert 0.15 < run["model_utilisation"] < run["utilisation"] < 0.3


@pytest.mark.parametrize("name", MODELS)
def test_the_parameters_and_their_bytes(name):
    p, half = (plan(name, 2, half_moments=half) for half in (False, True))
    count = sum(t.numel() for t in on_meta(name).parameters())
    assert p["parameters"] == count
    memory = p["memory"]
    assert memory["weights"] == memory["gradients"] == 4 * count
    assert memory["Adam's moments"] == 8 * count == 2 * half["memory"]["Adam's moments"]
    assert p["memory_bytes"] == sum(memory.values())


@given(
    world=st.integers(1, 600),
    batch=st.integers(600, 10**5),
    micro=st.none() | st.integers(1, 300),
    gpu=st.sampled_from(sorted(GPUS)),
)
def test_what_fits_fits(world, batch, micro, gpu):
    p = plan("vit_mini", world, gpu, batch, micro_batch=micro)
    assert p["pairs"] == math.ceil(batch / world)
    assert (p["memory_bytes"] <= p["gpu_bytes"]) == (p["pairs_together"] <= p["pairs_that_fit"])
    assert p["gpu_bytes"] == GPUS[gpu]["memory_gib"] * GIB
    assert p["step_s"] >= p["wire_s"] >= 0 and p["days"] > 0
    assert (p["wire_s"] == 0) == (world == 1)
    assert max(map(len, describe(p).splitlines())) <= 100


def test_a_micro_batch_saves_memory_and_costs_one_more_forward_pass():
    whole, parts = plan("vit_b32", 1, "h100"), plan("vit_b32", 1, "h100", micro_batch=1024)
    assert parts["memory"]["activations"] * 32 == whole["memory"]["activations"]
    assert parts["flop"]["again"] == whole["flop"]["forward"] and whole["flop"]["again"] == 0
    assert parts["days"] / whole["days"] == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize(
    "how, sentence",
    [
        (dict(gpu="v1000"), "no GPU is called 'v1000'; there are v100"),
        (dict(precision="bf16"), "the v100 cannot compute in bf16"),
        (dict(precision="int8"), "precision must be one of fp32, bf16, fp16"),
        (dict(world=9, batch_size=8), "9 GPUs cannot share a batch of 8"),
        (dict(world=0), "0 GPUs"),
        (dict(micro_batch=0), "at least 1 pair"),
        (dict(length=78), "reads 1 to 77 tokens, not 78"),
        (dict(utilisation=1.01), "share of the peak"),
        (dict(utilisation=0), "share of the peak"),
        (dict(model="vit_b31"), "did you mean"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_sentence(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(**{"model": "vit_b32", **how})
