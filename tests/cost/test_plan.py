"""The plan against what it stands for: torch's own counts, real tensors, and the paper's days."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import train
from miniclip import MODELS, create_model, load
from miniclip.cost import __main__ as cost
from miniclip.cost import plan as plan_module
from miniclip.cost.activation_memory import activations
from miniclip.cost.flop import flop_per_pair
from miniclip.cost.plan import (
    GIB,
    GPUS,
    describe,
    loss_costs,
    plan,
    plan_run,
    wire_bytes,
)
from miniclip.loss import clip_loss
from miniclip.objectives import PLAIN, create
from miniclip.training.config import Config
from tests.losses import Watch
from tests.runs import final, run
from tests.shared import must_refuse

SMALL = ["rn_mini", "vit_mini"]


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
    """A model of a million parameters with round numbers."""
    monkeypatch.setattr(plan_module, "_measured", lambda *how: MEASURED)


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
    "length": 32,
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


@pytest.mark.parametrize("a_pair", [5 * 10**9, 3 * 10**7])
def test_the_advice_for_what_does_not_fit_is_the_largest_that_fits(a_pair, monkeypatch):
    heavy = *MEASURED[:2], MEASURED[2] | dict(a_pair=a_pair), MEASURED[3]
    monkeypatch.setattr(plan_module, "_measured", lambda *how: heavy)
    model, gpu = "vit_mini", "t4"
    whole = plan(model, 8, gpu, 8192)
    fit = whole["pairs_that_fit"]
    assert f"does not fit in {whole['gpu_bytes'] // GIB}\n  {fit:,} pairs fit" in describe(whole)
    assert f"--micro-batch {fit:,}, or" in describe(whole)
    for micro_batch, fits in ((fit, True), (2 * fit, False)):
        p = plan(model, 8, gpu, 8192, micro_batch=micro_batch)
        assert (p["memory_bytes"] <= p["gpu_bytes"]) == fits == (" fits in " in describe(p))
    monkeypatch.setitem(GPUS, gpu, GPUS[gpu] | dict(memory_gib=0.01))
    assert "no pair fits beside the weights: take a larger card" in describe(plan(model, 1, gpu))
    assert "take a smaller --batch-size" in describe(plan(model, 1, "h100", 10**9))


# --- the run that train.py would start


def run_of(*arguments):
    return plan_run(Config.parse([str(a) for a in arguments], "cost", ""))


@pytest.mark.slow
def test_a_plan_is_of_the_run_that_the_same_options_start(pairs_csv, tmp_path, capsys):
    options = ["--data", pairs_csv, "--batch-size", 8, "--epochs", 1.5, "--vocab-size", 540]
    planned = run_of(*options)
    assert run(pairs_csv, tmp_path / "run", "--epochs", 1.5, "--vocab-size", 540) == 0
    state = final(tmp_path / "run")
    assert planned["pairs_in_all"] == 8 * state["step"]
    count = sum(p.numel() for p in load(tmp_path / "run/checkpoint.pt")[0].parameters())
    assert planned["parameters"] == count
    tuned = run_of("--data", pairs_csv, "--init", tmp_path / "run/checkpoint.pt")
    assert tuned["parameters"] == count
    bag = create("contrastive_bow", "rn_icons", vocab_size=540)
    planned_bag = run_of(*options, "--model", "rn_icons")
    assert planned_bag["parameters"] == sum(p.numel() for p in bag.parameters())
    capsys.readouterr()
    for main, more in ((train.main, ["--plan"]), (cost.main, [])):
        assert main([str(a) for a in [*more, *options, "--out", tmp_path / "none"]]) == 0
        assert capsys.readouterr().out == describe(planned) + "\n"
    assert not (tmp_path / "none").exists()


def test_options_of_the_run_change_its_plan(pairs_csv, measured):
    base = ["--data", pairs_csv, "--batch-size", 8]
    plain = run_of(*base, "--epochs", 2)
    assert plain["model"] == "rn_mini"
    for free in (["--lr", 1], ["--seed", 3], ["--unique-names"], ["--temperature", 0.1]):
        assert run_of(*base, "--epochs", 2, *free) == plain, free
    for more, pairs in (
        (["--epochs", 4], 2 * plain["pairs_in_all"]),
        (["--steps", 7], 56),
        (["--pairs", 16, "--epochs", 2], 32),
    ):
        assert run_of(*base, *more)["pairs_in_all"] == pairs
    paper = ["--model", "vit_l14", "--batch-size", 32_768, "--data-pairs", 400_000_000]
    found = run_of(*paper, "--world-size", 256, "--gpu", "v100", "--grad-checkpointing")
    assert found["pairs_in_all"] == pytest.approx(12.8e9, rel=1e-3)
    assert found == plan("vit_l14", 256, "v100", grad_checkpointing=True) | {
        "pairs_in_all": found["pairs_in_all"],
        "days": found["days"],
    }


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("--freeze image", "--freeze.* cannot be planned"),
        ("--init x", "there is no weights file at x"),
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
    must_refuse(words, run_of, "--data", pairs_csv, "--batch-size", 8, *wrong.split())


def test_fine_tuning_of_a_model_trained_with_sigmoid_is_not_planned_as_contrastive(
    pairs_csv, monkeypatch
):
    config = PLAIN | MODELS["vit_mini"] | {"name": "vit_mini", "objective": "sigmoid"}
    monkeypatch.setattr(plan_module, "initial_state", lambda *_: {"config": config})
    must_refuse("sigmoid.* cannot be planned", run_of, "--data", pairs_csv, "--init", "x.pt")


# --- what is counted


@pytest.mark.parametrize("length", [32, 5])
def test_the_flop_of_a_vit_are_those_of_its_products(length):
    """24 L D^2 + 4 L^2 D for a block, 2 D E for a projection; every product twice in the backward pass,
    but the very first once, because nobody asks for the gradient by the pixels."""

    def tower(layers, width, length):
        return layers * (24 * length * width**2 + 4 * length**2 * width) + 2 * width * 128

    patches = 2 * 16 * 3 * 16**2 * 128
    image, text = patches + tower(4, 128, 17), tower(2, 128, length)
    flop = flop_per_pair(MODELS["vit_mini"] | dict(vocab_size=600), length)
    assert (flop["image"], flop["text"], flop["forward"]) == (image, text, image + text)
    assert flop["backward"] == 2 * (image + text) - patches


@pytest.mark.parametrize("name", SMALL)
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


@pytest.mark.parametrize("n, e", [(256, 8), (300, 16)])
def test_the_loss_written_out_holds_four_squares(n, e):
    image, text = torch.randn(2, n, e, requires_grad=True).unbind()
    with Watch() as watch:
        clip_loss(image, text, torch.tensor(2.0)).backward()
    cost = plan("vit_mini", batch_size=n)["losses"]["all rows on every GPU"]
    assert watch.peak_bytes == pytest.approx(cost["bytes"], rel=0.25), watch.peak_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, world, days",
    [("rn50x64", 592, 18), ("vit_l14", 256, 12)],
)
def test_the_paper_s_days_come_out_at_the_stated_utilisation(name, world, days):
    assert plan(name, world, grad_checkpointing=True)["days"] == pytest.approx(days, rel=0.1)


@given(
    world=st.integers(1, 600),
    batch=st.integers(600, 10**5),
    micro=st.none() | st.integers(1, 300),
    gpu=st.sampled_from(sorted(GPUS)),
)
def test_what_fits_fits(world, batch, micro, gpu):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "_measured", lambda *how: MEASURED)
        p = plan("vit_mini", world, gpu, batch, micro_batch=micro)
    assert p["pairs"] == math.ceil(batch / world)
    assert (p["memory_bytes"] <= p["gpu_bytes"]) == (p["pairs_together"] <= p["pairs_that_fit"])
    assert p["gpu_bytes"] == GPUS[gpu]["memory_gib"] * GIB
    assert p["step_s"] >= p["wire_s"] >= 0 and p["days"] > 0
    assert (p["wire_s"] == 0) == (world == 1)
    assert max(map(len, describe(p).splitlines())) <= 100
    assert "days for 1e+12 billion pairs" in describe(p | dict(days=1.0, pairs_in_all=10**21))


def test_the_table_has_the_gflop_of_the_plan(measured):
    p = plan("vit_mini", 8, "h100", 4096, grad_checkpointing=True)
    said = {
        line[2:41].strip(): line[41:50] for line in describe(p).splitlines() if line[:2] == "  "
    }
    want = {"backward": p["flop"]["backward"], "computed again": p["flop"]["again"]}
    want |= {name: loss["flop"] for name, loss in p["losses"].items()}
    assert {name: said[name].strip() for name in want} == {
        name: f"{flop / 1e9:,.1f}" for name, flop in want.items()
    }


@pytest.mark.parametrize(
    "how, sentence",
    [
        (dict(gpu="v1000"), "no GPU is called 'v1000'; there are v100"),
        (dict(precision="bf16"), "the v100 cannot compute in bf16; it can in fp16, fp32$"),
        (dict(precision="int8"), "the v100 cannot compute in int8"),
        (dict(precision="int8", gpu="h100"), "in int8; it can in fp16, bf16, fp32$"),
        (dict(world=9, batch_size=8), "9 GPUs cannot share a batch of 8"),
        (dict(world=0), "0 GPUs"),
        (dict(micro_batch=0), "at least 1 pair"),
        (dict(length=78), "reads 1 to 77 tokens, not 78"),
        (dict(utilisation=1.01), "share of the peak"),
        (dict(utilisation=0), "share of the peak"),
        (dict(pairs=math.inf), "not without end"),
        (dict(world=1.5), "world must be of type int, not float"),
        (dict(vocab_size=0), "vocab_size is 0, not a whole number"),
        (dict(model="vit_b31"), "there are rn50, rn101"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_sentence(how, sentence):
    must_refuse(sentence, plan, **{"model": "vit_b32", **how})


def test_ranks_make_no_plan(monkeypatch, refused):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "one process makes a plan" in refused(cost.main, "--data-pairs", 1000)
