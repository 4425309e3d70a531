"""Measuring on held-out pairs while a run trains: its numbers, the best weights, and no trace in the run."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import eval as evaluation
import miniclip
import train
from miniclip.data.dataset import BadPicture, Pairs
from miniclip.evaluation.held_out import HeldOut, heldout_numbers
from miniclip.loss import clip_loss
from miniclip.training import checkpoint
from miniclip.training.logging import read_log
from tests.runs import assert_same_weights, final, lengthen, run


def measured(out):
    return [line for line in read_log(out / "log.jsonl") if "heldout_loss" in line]


def test_val_data_is_measured_and_evaluated_and_changes_no_weight(pairs_csv, tmp_path, refused):
    rows = [f"{pairs_csv.parent}/{row}" for row in pairs_csv.read_text().splitlines()[1:]]
    (tmp_path / "all.csv").write_text("\n".join(rows[8:]))
    (tmp_path / "val.csv").write_text("\n".join(rows[:8]))
    more = ["--steps", 3, "--columns", "image,caption", "--val-data"]
    run(tmp_path / "all.csv", tmp_path / "non", *more, "none")
    run(tmp_path / "all.csv", tmp_path / "val", *more, tmp_path / "val.csv", "--eval-every", 1)
    assert_same_weights(tmp_path / "non", tmp_path / "val")
    assert not measured(tmp_path / "non") and not (tmp_path / "non/best.pt").exists()
    assert [m["step"] for m in measured(tmp_path / "val")] == [1, 2, 3]
    out = tmp_path / "val"
    assert json.loads((out / "results.json").read_text())["val"]["text_to_image"]["n"] == 8
    assert evaluation.main(["--checkpoint", str(out / "best.pt"), "--task", "retrieval"]) == 0
    assert json.loads((out / "results.json").read_text())["val"]["text_to_image"]["gallery"] == 8
    (tmp_path / "val.csv").write_text((tmp_path / "val.csv").read_text() + " red")
    words = "has other names, captions or shards"
    assert words in refused(train.main, "--out", out, "--resume", "--threads", 1)


def test_by_default_it_is_after_each_epoch_and_0_is_never(pairs_csv, tmp_path):
    for name, more in (("a", ()), ("b", ("--eval-every", 0))):
        run(pairs_csv, tmp_path / name, "--steps", 5, *more)  # an epoch has 36 // 8 = 4 steps
    assert [m["step"] for m in measured(tmp_path / "a")] == [4] and not measured(tmp_path / "b")


@pytest.mark.parametrize(
    "val_data, indices, splits",
    [
        (None, [1, 2], {"val": [1, 2], "test": [3, 4]}),
        (None, [3, 4], {"test": [3, 4]}),
        ("none", [], {"test": [3, 4]}),
        (None, [4, 5], {"heldout_site": [2, 3], "empty": [], "heldout_names": np.array([4, 5])}),
        (None, [], {"heldout_site": [2, 3]}),
    ],
)
def test_the_first_split_is_measured_that_is_no_site_held_out(tmp_path, val_data, indices, splits):
    config = SimpleNamespace(out=tmp_path, eval_every=None, val_data=val_data)
    pairs = Pairs("x", [["a"]] * 6, {"train": [0]} | splits)
    assert HeldOut(config, None, None, pairs, None, None).indices == indices


def test_a_frozen_tower_stays_as_it_was(pairs_csv, tmp_path):
    run(pairs_csv, tmp_path / "a", "--steps", 1, "--model", "rn_mini")
    tuned = ["--init", tmp_path / "a/checkpoint.pt", "--freeze", "image", "--steps", 3]
    train.main(
        [*map(str, ["--data", pairs_csv, "--out", tmp_path / "b", *tuned, "--eval-every", 1])]
    )
    before, after = (final(tmp_path / name)["model"] for name in "ab")
    visual = [name for name in before if name.startswith("visual.")]
    assert visual and all(torch.equal(before[name], after[name]) for name in visual)


def test_best_has_the_lowest_loss_and_stays_where_a_resumed_run_has_no_lower_one(
    pairs_csv, tmp_path
):
    out = tmp_path / "run"
    run(pairs_csv, out, "--steps", 4, "--eval-every", 1)
    losses = [m["heldout_loss"] for m in measured(out)]
    best = torch.load(out / "best.pt", weights_only=True)
    assert best["step"] == 1 + losses.index(min(losses)) and "optimizer" not in best
    checkpoint.save(out / "best.pt", best | {"heldout_loss": 0.0})
    before = (out / "best.pt").read_bytes()
    lengthen(out, 5)
    run(pairs_csv, out, "--resume", "--eval-every", 1)
    assert (out / "best.pt").read_bytes() == before and len(measured(out)) == 5


def test_the_loss_is_that_of_batches_and_recall_that_of_all():
    model, tokenizer, _ = miniclip.load("icons")
    pairs = miniclip.data.open_pairs(None)
    indices = pairs.splits["heldout_concepts"][:12]
    loss, recall, _ = heldout_numbers(model, tokenizer, pairs, indices, batch_size=5)
    image, _ = miniclip.zeroshot.encode_images(model, pairs, indices)
    text = miniclip.zeroshot.encode_texts(model, tokenizer, [pairs.captions(i)[0] for i in indices])
    own = [clip_loss(image[k : k + 5], text[k : k + 5], model.logit_scale) for k in (0, 5)]
    assert abs(loss - sum(own).item() / 2) < 1e-5
    nearest = [(image @ t).argmax().item() for t in text]
    assert recall * 12 == sum(k == n for k, n in enumerate(nearest))


def test_the_loss_of_fewer_pairs_is_told_with_its_chance_and_is_never_the_best(tmp_path, capsys):
    model, tokenizer, _ = miniclip.load("icons")
    emoji, gone, lines = miniclip.data.open_pairs(None), set(), []

    class Twelve(Pairs):
        def image(self, i):
            if i in gone:
                raise BadPicture("gone")
            return emoji.image(i)

    names = [[emoji.captions(i)[0]] for i in range(12)]
    pairs = Twelve("x", names, {"train": [], "heldout": [*range(12)]})
    config = SimpleNamespace(out=tmp_path, eval_every=1, val_data=None, freeze=None)
    log = SimpleNamespace(last=(0, 0), record=lines.append)
    held_out = HeldOut(config, model, tokenizer, pairs, log, {})
    run = SimpleNamespace(step=1, batch_size=8, skipped={})
    for run.step, now in enumerate((range(0), range(2, 12), range(12)), start=1):
        gone |= {*now}
        held_out.measure(run)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert (best["step"], best["heldout_pairs"], len(run.skipped)) == (1, 12, 12)
    assert [round(np.exp(line["heldout_chance"])) for line in lines] == [8, 2]
    out = capsys.readouterr().out
    assert "2 held-out pairs: loss" in out and "(0.69 is chance)" in out
    assert out.count("10 pictures could not be read") == out.count("no held-out picture") == 1
