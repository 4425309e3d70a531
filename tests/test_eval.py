"""eval.py: a report from a checkpoint alone, a search, one sentence for wrong input."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import eval as evaluation
import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps on 30 pictures of one colour each."""
    folder = tmp_path_factory.mktemp("run")
    lines = ["filepath\tcaption"]
    for k in range(30):
        Image.new("RGB", (32, 32), (8 * k, 255 - 8 * k, 99)).save(folder / f"{k}.png")
        lines.append(f"{k}.png\tcolour number {k}, was $1 # now $0")
    (folder / "pairs.tsv").write_text("\n".join(lines))
    data, out = str(folder / "pairs.tsv"), str(folder / "run")
    train.main(["--data", data, "--out", out, "--steps", "2", "--batch-size", "8"])
    return folder / "run/checkpoint.pt"


def test_the_report_comes_from_the_checkpoint_alone(run, tmp_path, capsys):
    assert evaluation.main(["--checkpoint", str(run), "--out", str(tmp_path)]) == 0
    assert {"report.md", "retrieval.png", "results.json"} <= {p.name for p in tmp_path.iterdir()}
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["heldout"]["image_to_text"]["n"] >= 2
    assert "R@10" in capsys.readouterr().out


def test_other_pairs_are_all_asked_for(run, tmp_path):
    for k in range(3):
        Image.new("RGB", (50, 30), (80 * k, 0, 0)).save(tmp_path / f"{k}.png")
        (tmp_path / f"{k}.txt").write_text(f"picture {k}")
    out = tmp_path / "out"
    arguments = ["--checkpoint", str(run), "--data", str(tmp_path), "--out", str(out)]
    assert evaluation.main(arguments) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["all"]["text_to_image"]["gallery"] == 3


def test_a_search_prints_and_draws_its_k_best(run, tmp_path, capsys):
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path)]
    assert evaluation.main([*arguments, "--search", "colour number 3", "-k", "5"]) == 0
    said = capsys.readouterr().out
    assert said.count("colour number") == 5
    assert (tmp_path / "search.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Three classes of 40 pictures, and the same in other colours."""
    root = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for place, blue in (("home", 0), ("away", 120)):
        for c, name in enumerate(("red", "green", "grey")):
            (root / place / name).mkdir(parents=True)
            for k in range(40):
                colour = np.array([(150, 80, blue), (80, 150, blue), (110, 110, 110)][c])
                colour = (colour + rng.normal(0, 50, 3)).clip(0, 255).astype(int)
                Image.new("RGB", (24, 24), tuple(colour.tolist())).save(
                    root / place / name / f"{k}.png"
                )
    return root


@pytest.mark.slow
def test_own_classes_and_shifts_go_through_every_task(run, labelled, tmp_path, capsys):
    """One command on a labelled folder: each part writes its numbers, with n and interval."""
    (tmp_path / "templates.txt").write_text("{}\nthe colour {}\n")
    (tmp_path / "classes.txt").write_text("colour green\ncolour grey\ncolour red\n")
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path), "--seeds", "2"]
    arguments += ["--images", str(labelled / "home")]
    arguments += ["--templates", str(tmp_path / "templates.txt")]
    away = ["--shift", f"away={labelled / 'away'}"]
    assert evaluation.main([*arguments, *away]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["zero_shot"]["bare name"]["n"] == 120
    full = results["probe"]["probes"]["this model"]
    assert full["full"]["home"] > 0.4 and full["n"]["home"] > 40
    assert "away" in results["shift"]["zero_shot"] and "8 shots" in results["shift"]["points"]
    assert results["overlap"]["zero-shot"]["n"] == 120
    drawn = {p.name for p in tmp_path.glob("*.png")}
    assert {"prompts.png", "shots.png", "gap.png", "shift.png", "robustness.png"} <= drawn
    report = (tmp_path / "report.md").read_text()
    assert all(f"({name})" in report for name in drawn), "a figure that the report does not show"
    renamed = ["--classes", str(tmp_path / "classes.txt"), "--task", "zero_shot"]
    assert evaluation.main([*arguments, *renamed]) == 0


def test_a_task_alone_writes_nothing_of_the_others(run, tmp_path):
    assert (
        evaluation.main(["--checkpoint", str(run), "--out", str(tmp_path), "--task", "humans"]) == 0
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert "humans" in results and "heldout" not in results and "overlap" not in results


def test_the_checkpoint_is_read_once(run, tmp_path, monkeypatch):
    read, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda path, **kw: read.append(path) or load(path, **kw))
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path), "--task", "humans"]
    assert evaluation.main(arguments) == 0
    assert read == [run], f"read {len(read)} times"


def test_probes_are_left_out_when_no_test_picture_has_a_class_that_was_learned(
    run, tmp_path, capsys
):
    for part, names in {"train": ("cat", "dog", "cow", "hen"), "test": ("fox",)}.items():
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for k in range(2):
                Image.new("RGB", (9, 9), (80 * k, 9, 9)).save(tmp_path / part / name / f"{k}.png")
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path), "--images", str(tmp_path)]
    assert evaluation.main([*arguments, "--task", "probe", "humans"]) == 0
    assert "Left out: no picture to test on" in capsys.readouterr().out


def test_without_scikit_learn_the_rest_is_printed(run, labelled, tmp_path, monkeypatch, capsys):
    for module in ("sklearn", "sklearn.linear_model", "sklearn.datasets"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    arguments = ["--checkpoint", str(run), "--out", str(tmp_path)]
    arguments += ["--images", str(labelled / "home")]
    arguments += ["--task", "zero_shot", "probe", "shift", "humans"]
    assert evaluation.main(arguments) == 0
    said = capsys.readouterr().out
    assert "pip install 'miniclip[eval]'" in said and "one template" in said
    assert "majority vote" in said


@pytest.mark.parametrize(
    "wrong, words",
    [
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
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    run, labelled, tmp_path, wrong, words, capsys
):
    (tmp_path / "bad.txt").write_text("a photo\n")
    (tmp_path / "empty.txt").write_text("\n")
    for name in ("one/cat", "nothing", "two/cat", "two/dog"):
        (tmp_path / name).mkdir(parents=True)
        if name != "nothing":
            Image.new("RGB", (9, 9)).save(tmp_path / name / "1.png")
    wrong = [
        w.replace("{tmp}", str(tmp_path)).replace("{home}", str(labelled / "home")) for w in wrong
    ]
    with pytest.raises(SystemExit) as stop:
        evaluation.main(["--checkpoint", str(run), "--out", str(tmp_path / "out"), *wrong])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert all(word in said for word in words), said


@pytest.mark.slow
def test_a_checkpoint_made_elsewhere_goes_through_every_task(tmp_path):
    """A small model of open_clip with random weights, on the embedded pairs."""
    model = pytest.importorskip("open_clip.model")
    torch.manual_seed(0)
    vision = model.CLIPVisionCfg(layers=2, width=64, patch_size=16, image_size=32, head_width=64)
    text = model.CLIPTextCfg(width=64, heads=1, layers=2)
    clip = model.CLIP(32, vision, text)
    torch.save(clip.state_dict(), tmp_path / "random.pt")
    config = {"embed_dim": 32, "vision_cfg": {"head_width": 64}, "text_cfg": {"heads": 1}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    arguments = ["--checkpoint", str(tmp_path / "random.pt"), "--seeds", "2"]
    assert evaluation.main(arguments) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(evaluation.CONTENTS) <= set(results)
    assert results["heldout_compositions"]["text_to_image"]["R@10"] < 0.2
    assert results["zero_shot"]["bare name"]["accuracy"] < 0.3
    assert "Left out: " not in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--checkpoint", "nowhere.pt"], ["nowhere.pt"]),
        ([], ["--checkpoint"]),
        (["--checkpoint", __file__], ["test_eval.py"]),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluation.main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert all(word in said for word in words), said


def test_missing_data_is_one_sentence(run, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluation.main(["--checkpoint", str(run), "--data", "nowhere.csv"])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1 and "nowhere.csv" in said


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    """A run that was fine-tuned from `run` on 30 other pictures."""
    folder = tmp_path_factory.mktemp("tuned")
    lines = ["filepath,caption"]
    for k in range(30):
        Image.new("RGB", (32, 32), (8 * k, 99, 255 - 8 * k)).save(folder / f"{k}.png")
        lines.append(f"{k}.png,another number {k}")
    (folder / "others.csv").write_text("\n".join(lines))
    options = ["--data", folder / "others.csv", "--out", folder / "run", "--init", run]
    options += ["--steps", 2, "--batch-size", 8, "--lr", 0.01]
    train.main([str(option) for option in options])
    return folder / "run/checkpoint.pt"


def test_averages_are_tested_on_the_pairs_of_both_and_are_both_at_the_ends(
    run, tuned, labelled, tmp_path, capsys
):
    arguments = ["--checkpoint", str(tuned), "--average-with", str(run)]
    arguments += ["--images", str(labelled / "home"), "--out", str(tmp_path / "curve")]
    assert evaluation.main(arguments) == 0
    said = capsys.readouterr().out
    held = json.loads((tmp_path / "curve/results.json").read_text())
    assert held["start"] == str(run) and held["tuned"] == str(tuned)
    curves = held["curves"]
    places = ("others.csv, heldout", "pairs.tsv, heldout", "zero-shot on home")
    own = [next(c for what, c in curves.items() if place in what) for place in places]
    assert len(curves) == 3 and all(list(c) == [f"{k / 10:g}" for k in range(11)] for c in own)
    assert all(what in said for what in curves)
    assert {"report.md", "average.png"} <= {p.name for p in (tmp_path / "curve").iterdir()}
    for curve, end, path in ((own[0], "1", tuned), (own[1], "0", run)):  # what train.py found
        alone = json.loads(path.with_name("results.json").read_text())["heldout"]["text_to_image"]
        assert (curve[end]["value"], curve[end]["n"]) == (alone["R@1"], alone["n"])


def test_pairs_of_the_start_that_cannot_be_had_are_left_out_and_said(run, tuned, tmp_path, capsys):
    state = torch.load(run, weights_only=True)
    state["options"]["data"] = str(tmp_path / "gone.csv")
    torch.save(state, tmp_path / "start.pt")
    arguments = ["--checkpoint", str(tuned), "--average-with", str(tmp_path / "start.pt")]
    assert evaluation.main([*arguments, "--out", str(tmp_path / "curve")]) == 0
    assert "left out: " in capsys.readouterr().out
    curves = json.loads((tmp_path / "curve/results.json").read_text())["curves"]
    assert list(curves) == ["others.csv, heldout: text to image R@1"]


def test_an_average_is_saved_evaluated_and_tuned_again(run, tuned, tmp_path, capsys):
    path = tmp_path / "average.pt"
    arguments = ["--checkpoint", str(tuned), "--average-with", str(run), "--save", str(path)]
    assert evaluation.main(arguments) == 0 and "0.5 of" in capsys.readouterr().out
    first, second, middle = (torch.load(p, weights_only=True)["model"] for p in (run, tuned, path))
    name = "text_projection"
    assert torch.equal(middle[name], torch.lerp(first[name], second[name], 0.5))
    assert evaluation.main(["--checkpoint", str(path), "--task", "retrieval"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["heldout"]["text_to_image"]["n"] >= 1
    again = ["--init", str(path), "--data", str(tuned.parents[1] / "others.csv")]
    assert train.main([*again, "--out", str(tmp_path / "again"), "--steps", "1"]) == 0


@pytest.mark.parametrize(
    "more, words",
    [
        (["--average-with", "nowhere.pt"], ["nowhere.pt"]),
        (["--average-with", "icons"], ["cannot be averaged", "icons"]),
        (["--alpha", "0.5"], ["--alpha", "--average-with"]),
        (["--save", "x.pt"], ["--save", "--average-with"]),
        (["--average-with", "icons", "--alpha", "0.5"], ["--alpha", "--save"]),
        (["--average-with", "icons", "--alpha", "2", "--save", "x.pt"], ["--alpha", "at most 1"]),
        (["--average-with", "icons", "--search", "x"], ["--average-with takes no --search"]),
        (["--average-with", "icons", "--save", "x.pt", "--data", "y.csv"], ["takes no --data"]),
    ],
)
def test_an_average_that_cannot_be_is_one_sentence_and_exit_code_2(run, more, words, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        evaluation.main(["--checkpoint", str(run), *more])
    said = capsys.readouterr().err
    assert stop.value.code == 2 and said.count("\n") == 1
    assert all(word in said for word in words), said
