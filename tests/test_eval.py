"""eval.py: a report from a checkpoint alone, a search, and one sentence for wrong input."""

import json

import pytest
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
        lines.append(f"{k}.png\tcolour number {k}")
    (folder / "pairs.tsv").write_text("\n".join(lines))
    train.main(["--data", str(folder / "pairs.tsv"), "--out", str(folder / "run"), "--steps", "2",
                "--batch-size", "8"])  # fmt: skip
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
