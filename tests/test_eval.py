"""eval.py: a report from a checkpoint alone, a search, one sentence for wrong input."""

import json
import shutil
import sys

import pytest
import torch
from PIL import Image

import eval as evaluation
from tests import runs


@pytest.fixture(scope="module")
def run(pairs_csv, tmp_path_factory):
    """The checkpoint of a run of two steps."""
    folder = tmp_path_factory.mktemp("run")
    assert runs.run(pairs_csv, folder, "--steps", 2) == 0
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def other_csv(pairs_csv, tmp_path_factory):
    """The same pictures with other captions."""
    rows = pairs_csv.read_text().replace("\npictures", f"\n{pairs_csv.parent}/pictures")
    data = tmp_path_factory.mktemp("other") / "other.csv"
    data.write_text(rows.replace(",top", ",upper part").replace(".png,", ".png,a "))
    return data


@pytest.fixture(scope="module")
def tuned(run, other_csv):
    """A run that was fine-tuned from `run` on the other captions."""
    folder = other_csv.parent / "tuned"
    assert runs.run(other_csv, folder, "--steps", 2, "--init", run, "--lr", 0.01) == 0
    return folder / "checkpoint.pt"


@pytest.fixture(scope="module")
def pictures(pairs_csv):
    """A folder of eight classes of five pictures."""
    return pairs_csv.parent / "pictures"


@pytest.fixture
def report(run, tmp_path):
    """options -> results.json of the command, whose report is in tmp_path/out."""

    def ask(*options, checkpoint=run):
        options = ["--checkpoint", checkpoint, "--out", tmp_path / "out", *options]
        assert evaluation.main([str(option) for option in options]) == 0
        return json.loads((tmp_path / "out/results.json").read_text())

    return ask


def test_the_report_comes_from_the_checkpoint_alone(report, tmp_path, run, monkeypatch):
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda path, **kw: read.append(path) or load(path, **kw))
    assert report()["heldout"]["image_to_text"]["n"] >= 2
    assert {"report.md", "retrieval.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert read == [run], f"the checkpoint is read {len(read)} times"


def test_a_search_prints_and_draws_its_k_best(run, tmp_path, capsys):
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path)]
    assert evaluation.main([*arguments, "--search", "whole red", "-k", "5"]) == 0
    *found, drawn = capsys.readouterr().out.splitlines()
    assert len(found) == 5 and (tmp_path / "search.png").stat().st_size > 1000


@pytest.mark.slow
def test_own_classes_and_shifts_go_through_every_task(report, pictures, tmp_path):
    """One command on a labelled folder: each part writes its numbers, with n and interval."""
    (tmp_path / "templates.txt").write_text("{}\nthe colour {}\n")
    (tmp_path / "classes.txt").write_text("\n".join("abcdefgh"))
    options = ["--seeds", 2, "--images", pictures, "--templates", tmp_path / "templates.txt"]
    shutil.copytree(pictures, tmp_path / "away")
    results = report(*options, "--shift", f"away={tmp_path / 'away'}")
    assert results["zero_shot"]["bare name"]["n"] == 40 == results["overlap"]["zero-shot"]["n"]
    assert "away" in results["shift"]["zero_shot"] and "1 shots" in results["shift"]["points"]
    drawn = {p.name for p in (tmp_path / "out").glob("*.png")}
    assert {"shots.png", "shift.png"} <= drawn
    text = (tmp_path / "out/report.md").read_text()
    assert all(f"({name})" in text for name in drawn), "a figure that the report does not show"
    report(*options[2:], "--classes", tmp_path / "classes.txt", "--task", "zero_shot")


def test_a_task_alone_writes_nothing_of_the_others_and_opens_no_pairs_in_vain(
    report, pictures, monkeypatch
):
    before = report("--task", "overlap")
    assert "overlap" in before and "heldout" not in before
    monkeypatch.setattr(evaluation, "open_data", None)
    results = report("--images", pictures, "--task", "zero_shot")
    assert results["zero_shot"]["bare name"]["n"] == 40
    assert all(results[key] == before[key] for key in ("overlap", "pairs_digest", "model"))


def test_without_scikit_learn_the_rest_is_printed_and_an_earlier_probe_is_kept(
    report, run, pictures, tmp_path, monkeypatch, capsys, refused
):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    path, before = (
        tmp_path / "out/results.json",
        report("--images", pictures, "--task", "zero-shot"),
    )
    path.write_text(json.dumps(before | {"probe": "of an earlier command"}))
    results = report("--images", pictures, "--task", "zero-shot", "--task", "probe")
    assert "pip install 'miniclip[eval]'" in capsys.readouterr().out
    assert "bare name" in results["zero_shot"] and results["probe"] == "of an earlier command"
    assert "probe" not in results["commands"]
    options = ["--checkpoint", run, "--out", tmp_path, "--images", pictures, "--task", "probe"]
    assert "every section was left out" in refused(evaluation.main, *options)
    assert not (tmp_path / "report.md").exists()


WRONG = [  # (options, words that must occur)
    (["--checkpoint", "nowhere.pt"], ["nowhere.pt"]),
    (["--checkpoint", __file__], ["test_eval.py"]),
    (["--data", "nowhere.csv"], ["nowhere.csv"]),
    (["--images", "nowhere"], ["nowhere"]),
    (["--classes", "imagenet"], ["--images"]),
    (["--templates", "{tmp}/bad.txt"], ["a photo", "{}"]),
    (["--templates", "{tmp}/none.txt"], ["none.txt"]),
    (["--templates", "{tmp}/empty.txt"], ["empty.txt"]),
    (["--templates", "{tmp}/good.txt"], ["--templates needs labelled pictures: add --images"]),
    (["--checkpoint", "{run}", "--templates", "{tmp}/good.txt"], ["--templates needs labelled"]),
    (["--images", "{tmp}/one"], ["at least two classes"]),
    (["--images", "{tmp}/nothing"], ["holds no pictures"]),
    (["--images", "{home}", "--classes", "{tmp}/bad.txt"], ["1 class names", "8 classes"]),
    (["--images", "{home}", "--shift", "away"], ["NAME=FOLDER"]),
    (["--images", "{home}", "--shift", "x={tmp}/two"], ["do not have"]),
    (["--task", "zeroshot"], ["zero_shot"]),
    (["--search", " "], ["--search has no words"]),
    (["--search", "\u200b"], ["--search has no words"]),
    (["--search", "x", "--images", "y"], ["miniclip.search"]),
    (["--search", "x", "--classes", "y"], ["--search", "--classes"]),
    (["--search", "x", "--templates", "y", "--seeds", "3"], ["--search", "--templates"]),
    (["--search", "x", "--shift", "y"], ["--search", "--shift"]),
    (["--task", "retrieval", "-k", "3"], ["-k"]),
    (["--task", "retrieval", "--seeds", "3"], ["--seeds", "changes none of these sections"]),
    (["--checkpoint", "x", "--checkpoint", "y"], ["at most twice"]),
    (["--checkpoint", "icons"], ["cannot be averaged", "icons"]),
    (["--alpha", "0.5"], ["--alpha", "second --checkpoint"]),
    (["--save", "x.pt"], ["--save", "second --checkpoint"]),
    (["--checkpoint", "icons", "--alpha", "0.5"], ["--alpha", "--save"]),
    (["--checkpoint", "icons", "--alpha", "2", "--save", "x.pt"], ["--alpha", "at most 1"]),
    (["--checkpoint", "icons", "--search", "x"], ["--checkpoint", "--search"]),
    (["--checkpoint", "icons", "--save", "x.pt", "--data", "y.csv"], ["--save", "--data"]),
    (["--checkpoint", "icons", "-k", "3"], ["--checkpoint", "-k"]),
    (["--checkpoint", "{run}", "--save", "{run}", "--overwrite"], ["also an input"]),
]


def test_a_mistake_is_named_before_pairs_are_fetched(monkeypatch, refused):
    monkeypatch.setattr(evaluation, "open_data", lambda *_, **how: pytest.fail("pairs are opened"))
    for option, value in {"--images": "no", "--templates": "no", "--shift": "a=no"}.items():
        assert "no" in refused(evaluation.main, "--checkpoint", "web", option, value)


@pytest.mark.parametrize("wrong, words", WRONG)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    run, pictures, tmp_path, wrong, words, refused
):
    (tmp_path / "bad.txt").write_text("a photo\n")
    (tmp_path / "good.txt").write_text("a photo of {}\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "nothing").mkdir()
    for name in ("one/cat", "two/cat", "two/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    options = ["--checkpoint", run]
    options += [] if "--save" in wrong else ["--out", tmp_path / "out"]
    options += [word.format(tmp=tmp_path, home=pictures, run=run) for word in wrong]
    said = refused(evaluation.main, *options)
    assert all(word in said for word in words), said


@pytest.mark.slow
def test_a_checkpoint_made_elsewhere_goes_through_every_task(report, tmp_path):
    """A small model of open_clip with random weights, on the embedded pairs."""
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(0)
    vision = model.CLIPVisionCfg(layers=2, width=64, patch_size=16, image_size=32, head_width=64)
    text = model.CLIPTextCfg(width=64, heads=1, layers=2)
    clip = model.CLIP(32, vision, text)
    torch.save(clip.state_dict(), tmp_path / "random.pt")
    config = {"embed_dim": 32, "vision_cfg": vars(vision), "text_cfg": vars(text)}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    results = report("--seeds", 2, checkpoint=tmp_path / "random.pt")
    assert set(evaluation.CONTENTS) <= set(results)
    assert results["heldout_compositions"]["text_to_image"]["R@10"] < 0.2
    assert results["zero_shot"]["bare name"]["accuracy"] < 0.3
    assert "Left out: " not in (tmp_path / "out/report.md").read_text()


@pytest.mark.slow
def test_averages_are_tested_on_the_pairs_of_both_and_are_both_at_the_ends(
    run, tuned, pictures, report, tmp_path
):
    curves = report("--checkpoint", run, "--images", pictures, checkpoint=tuned)["averages"]
    places = ("other.csv, heldout", "pairs.csv, heldout", "zero-shot on pictures")
    own = [next(c for what, c in curves.items() if place in what) for place in places]
    assert len(curves) == 3 and all(list(c) == [f"{k / 10:g}" for k in range(11)] for c in own)
    assert {"report.md", "average.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    for curve, end, path in ((own[0], "1", tuned), (own[1], "0", run)):  # what train.py found
        alone = json.loads(path.with_name("results.json").read_text())["heldout"]["text_to_image"]
        assert (curve[end]["value"], curve[end]["n"]) == (alone["R@1"], alone["n"])


@pytest.mark.slow
def test_an_average_is_saved_evaluated_and_tuned_again(
    run, tuned, other_csv, report, tmp_path, capsys
):
    path = tmp_path / "average/checkpoint.pt"
    path.parent.mkdir()
    arguments = ["--average-with", str(run), "--checkpoint", str(tuned), "--save", str(path)]
    assert evaluation.main(arguments) == 0  # the old spelling of a second --checkpoint
    said = capsys.readouterr()
    assert "0.5 of" in said.out and "now written as a second --checkpoint\n" in said.err
    first, second, middle = (
        runs.final(p.parent)["model"]["text_projection"] for p in (run, tuned, path)
    )
    assert torch.equal(middle, torch.lerp(first, second, 0.5))
    results = report("--task", "retrieval", checkpoint=path)
    assert results["heldout"]["text_to_image"]["n"] >= 1
    assert runs.run(other_csv, tmp_path / "again", "--steps", 1, "--init", path) == 0
