"""eval.py: a report from a checkpoint alone, a search, one sentence for wrong input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import eval as evaluation
import train


def trained(folder, pictures, caption, *options):
    """The checkpoint of a run of two steps on pictures of one colour each."""
    lines = ["filepath\tcaption"]
    for k, colour in enumerate(pictures):
        Image.new("RGB", (32, 32), colour).save(folder / f"{k}.png")
        lines.append(f"{k}.png\t{caption} {k}, was $1 # now $0")
    data = folder / f"{caption}.tsv"
    data.write_text("\n".join(lines))
    options = ["--data", data, "--out", folder / "run", "--steps", 2, "--batch-size", 8, *options]
    train.main([str(option) for option in options])
    return folder / "run/checkpoint.pt"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    colours = [(8 * k, 255 - 8 * k, 99) for k in range(30)]
    return trained(tmp_path_factory.mktemp("run"), colours, "colour")


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    """A run that was fine-tuned from `run` on 30 other pictures."""
    colours = [(8 * k, 99, 255 - 8 * k) for k in range(30)]
    folder = tmp_path_factory.mktemp("tuned")
    return trained(folder, colours, "other", "--init", run, "--lr", 0.01)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Three classes of 40 pictures, and the same in other colours."""
    root = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for place, blue in (("home", 0), ("away", 120)):
        colours = {"red": (150, 80, blue), "green": (80, 150, blue), "grey": (110, 110, 110)}
        for name, colour in colours.items():
            (root / place / name).mkdir(parents=True)
            for k in range(40):
                own = (colour + rng.normal(0, 50, 3)).clip(0, 255).astype(int)
                picture = Image.new("RGB", (24, 24), tuple(own.tolist()))
                picture.save(root / place / name / f"{k}.png")
    return root


@pytest.fixture
def report(run, tmp_path):
    """options -> results.json of the command, whose report is in tmp_path/out."""

    def ask(*options, checkpoint=run):
        options = ["--checkpoint", checkpoint, "--out", tmp_path / "out", *options]
        assert evaluation.main([str(option) for option in options]) == 0
        return json.loads((tmp_path / "out/results.json").read_text())

    return ask


def refused(capsys, options, words):
    """Whether the command ends with code 2 and one sentence that has these words."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        evaluation.main([str(option) for option in options])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert all(word in said for word in words), said


def test_the_report_comes_from_the_checkpoint_alone(report, tmp_path, run, monkeypatch):
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda path, **kw: read.append(path) or load(path, **kw))
    assert report()["heldout"]["image_to_text"]["n"] >= 2
    assert {"report.md", "retrieval.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    assert read == [run], f"the checkpoint is read {len(read)} times"


def test_other_pairs_are_all_asked_for(report, tmp_path):
    for k in range(3):
        Image.new("RGB", (50, 30), (80 * k, 0, 0)).save(tmp_path / f"{k}.png")
        (tmp_path / f"{k}.txt").write_text(f"picture {k}")
    assert report("--data", tmp_path)["all"]["text_to_image"]["gallery"] == 3


def test_a_search_prints_and_draws_its_k_best(run, tmp_path, capsys):
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path)]
    assert evaluation.main([*arguments, "--search", "colour 3", "-k", "5"]) == 0
    assert capsys.readouterr().out.count("colour") == 5
    assert (tmp_path / "search.png").stat().st_size > 1000


@pytest.mark.slow
def test_own_classes_and_shifts_go_through_every_task(report, labelled, tmp_path):
    """One command on a labelled folder: each part writes its numbers, with n and interval."""
    (tmp_path / "templates.txt").write_text("{}\nthe colour {}\n")
    (tmp_path / "classes.txt").write_text("colour green\ncolour grey\ncolour red\n")
    options = ["--seeds", 2, "--images", labelled / "home"]
    options += ["--templates", tmp_path / "templates.txt"]
    results = report(*options, "--shift", f"away={labelled / 'away'}")
    assert results["zero_shot"]["bare name"]["n"] == 120
    full = results["probe"]["probes"]["this model"]
    assert full["full"]["home"] > 0.4 and full["n"]["home"] > 40
    assert "away" in results["shift"]["zero_shot"] and "8 shots" in results["shift"]["points"]
    assert results["overlap"]["zero-shot"]["n"] == 120
    drawn = {p.name for p in (tmp_path / "out").glob("*.png")}
    assert {"prompts.png", "shots.png", "gap.png", "shift.png", "robustness.png"} <= drawn
    text = (tmp_path / "out/report.md").read_text()
    assert all(f"({name})" in text for name in drawn), "a figure that the report does not show"
    report(*options, "--classes", tmp_path / "classes.txt", "--task", "zero_shot")


def test_a_task_alone_writes_nothing_of_the_others(report):
    results = report("--task", "humans")
    assert "humans" in results and "heldout" not in results and "overlap" not in results


def test_probes_are_left_out_when_no_test_picture_has_a_class_that_was_learned(
    report, tmp_path, capsys
):
    for name in ("train/cat", "train/dog", "train/cow", "train/hen", "test/fox"):
        (tmp_path / name).mkdir(parents=True)
        for k in range(2):
            Image.new("RGB", (9, 9), (80 * k, 9, 9)).save(tmp_path / name / f"{k}.png")
    report("--images", tmp_path, "--task", "probe", "humans")
    assert "Left out: no picture to test on" in capsys.readouterr().out


def test_without_scikit_learn_the_rest_is_printed(report, labelled, monkeypatch, capsys):
    for module in ("sklearn", "sklearn.linear_model", "sklearn.datasets"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    results = report("--images", labelled / "home", "--task", "zero-shot", "probe", "shift")
    assert "pip install 'miniclip[eval]'" in capsys.readouterr().out
    assert "bare name" in results["zero_shot"] and [*results["probe"]] == ["seconds"]


WRONG = [  # (options, words that must occur)
    (["--checkpoint", "nowhere.pt"], ["nowhere.pt"]),
    (["--checkpoint", __file__], ["test_eval.py"]),
    (["--data", "nowhere.csv"], ["nowhere.csv"]),
    (["--images", "nowhere"], ["nowhere"]),
    (["--classes", "imagenet"], ["--images"]),
    (["--templates", "{tmp}/bad.txt"], ["a photo", "{}"]),
    (["--templates", "{tmp}/none.txt"], ["none.txt"]),
    (["--templates", "{tmp}/empty.txt"], ["empty.txt"]),
    (["--images", "{tmp}/one"], ["at least two classes"]),
    (["--images", "{tmp}/nothing"], ["no labelled picture"]),
    (["--images", "{home}", "--classes", "{tmp}/bad.txt"], ["1 class names", "3 classes"]),
    (["--images", "{home}", "--shift", "away"], ["NAME=FOLDER"]),
    (["--images", "{home}", "--shift", "x={tmp}/two"], ["not at home"]),
    (["--task", "zeroshot"], ["zero_shot"]),
    (["--quiz"], ["--images"]),
    (["--search", " "], ["--search is empty"]),
    (["--search", "x", "--images", "y"], ["miniclip.search"]),
    (["--search", "x", "--classes", "y"], ["--search", "--classes"]),
    (["--search", "x", "--templates", "y", "--seeds", "3"], ["--search", "--templates"]),
    (["--search", "x", "--shift", "y"], ["--search", "--shift"]),
    (["--task", "retrieval", "-k", "3"], ["-k"]),
    (["--average-with", "nowhere.pt"], ["nowhere.pt"]),
    (["--average-with", "icons"], ["cannot be averaged", "icons"]),
    (["--alpha", "0.5"], ["--alpha", "--average-with"]),
    (["--save", "x.pt"], ["--save", "--average-with"]),
    (["--average-with", "icons", "--alpha", "0.5"], ["--alpha", "--save"]),
    (["--average-with", "icons", "--alpha", "2", "--save", "x.pt"], ["--alpha", "at most 1"]),
    (["--average-with", "icons", "--search", "x"], ["--average-with", "--search"]),
    (["--average-with", "icons", "--save", "x.pt", "--data", "y.csv"], ["--save", "--data"]),
    (["--average-with", "icons", "-k", "3"], ["--average-with", "-k"]),
    (["--average-with", "{run}", "--save", "{run}", "--overwrite"], ["would replace"]),
]


@pytest.mark.parametrize("wrong, words", WRONG)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    run, labelled, tmp_path, wrong, words, capsys
):
    (tmp_path / "bad.txt").write_text("a photo\n")
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "nothing").mkdir()
    for name in ("one/cat", "two/cat", "two/dog"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    places = {"{tmp}": tmp_path, "{home}": labelled / "home", "{run}": run}
    options = ["--checkpoint", run, "--out", tmp_path / "out"]
    if "--save" in wrong:  # which needs no folder for a report
        options = options[:2]
    for word in wrong:
        for name, place in places.items():
            word = word.replace(name, str(place))
        options.append(word)
    refused(capsys, options, words)


def test_a_command_without_a_checkpoint_is_refused(capsys):
    refused(capsys, [], ["--checkpoint"])


@pytest.mark.slow
def test_a_checkpoint_made_elsewhere_goes_through_every_task(report, tmp_path):
    """A small model of open_clip with random weights, on the embedded pairs."""
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(0)
    vision = model.CLIPVisionCfg(layers=2, width=64, patch_size=16, image_size=32, head_width=64)
    text = model.CLIPTextCfg(width=64, heads=1, layers=2)
    clip = model.CLIP(32, vision, text)
    torch.save(clip.state_dict(), tmp_path / "random.pt")
    config = {"embed_dim": 32, "vision_cfg": {"head_width": 64}, "text_cfg": {"heads": 1}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    results = report("--seeds", 2, checkpoint=tmp_path / "random.pt")
    assert set(evaluation.CONTENTS) <= set(results)
    assert results["heldout_compositions"]["text_to_image"]["R@10"] < 0.2
    assert results["zero_shot"]["bare name"]["accuracy"] < 0.3
    assert "Left out: " not in (tmp_path / "out/report.md").read_text()


def test_averages_are_tested_on_the_pairs_of_both_and_are_both_at_the_ends(
    run, tuned, labelled, report, tmp_path
):
    held = report("--average-with", run, "--images", labelled / "home", checkpoint=tuned)
    assert held["start"] == str(run) and held["tuned"] == str(tuned)
    curves = held["curves"]
    places = ("other.tsv, heldout", "colour.tsv, heldout", "zero-shot on home")
    own = [next(c for what, c in curves.items() if place in what) for place in places]
    assert len(curves) == 3 and all(list(c) == [f"{k / 10:g}" for k in range(11)] for c in own)
    assert {"report.md", "average.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    for curve, end, path in ((own[0], "1", tuned), (own[1], "0", run)):  # what train.py found
        alone = json.loads(path.with_name("results.json").read_text())["heldout"]["text_to_image"]
        assert (curve[end]["value"], curve[end]["n"]) == (alone["R@1"], alone["n"])


def test_an_average_is_saved_evaluated_and_tuned_again(run, tuned, report, tmp_path, capsys):
    path = tmp_path / "average.pt"
    arguments = ["--checkpoint", str(tuned), "--average-with", str(run), "--save", str(path)]
    assert evaluation.main(arguments) == 0 and "0.5 of" in capsys.readouterr().out
    first, second, middle = (torch.load(p, weights_only=True)["model"] for p in (run, tuned, path))
    name = "text_projection"
    assert torch.equal(middle[name], torch.lerp(first[name], second[name], 0.5))
    results = report("--task", "retrieval", checkpoint=path)
    assert results["heldout"]["text_to_image"]["n"] >= 1
    again = ["--init", str(path), "--data", str(tuned.parents[1] / "other.tsv")]
    assert train.main([*again, "--out", str(tmp_path / "again"), "--steps", "1"]) == 0
