"""What an earlier miniclip wrote is read for ever, or refused in one sentence.

tests/written holds files that version 0.1 wrote: a run that was killed after its second step of four,
an index of pictures, a curated list and a curated csv.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import eval as eval_script
import miniclip
import train
from miniclip.search.__main__ import main as search
from miniclip.training import checkpoint
from tests.shared import WRITTEN


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A copy of the files; it is the working folder, as it was when they were written."""
    shutil.copytree(WRITTEN, tmp_path / "written")
    monkeypatch.chdir(tmp_path / "written")
    return tmp_path / "written"


def test_a_run_goes_on_from_its_checkpoint(written):
    assert train.main("--data pairs.csv --out run --resume --threads 1".split()) == 0
    assert checkpoint.load("run/checkpoint.pt")["step"] == 4
    lines = [json.loads(line) for line in open("run/log.jsonl", encoding="utf-8")]
    assert [line["step"] for line in lines if "loss" in line] == [1, 3, 4]


def test_a_checkpoint_is_a_model_and_is_evaluated(written):
    model, tokenizer, preprocess = miniclip.load("run/checkpoint.pt")
    with torch.no_grad():
        image, text, scale = model(torch.zeros(1, 3, 16, 16), tokenizer(["left red"]))
    assert torch.isfinite(image @ text.T) and scale > 1
    assert eval_script.main("--checkpoint run/checkpoint.pt --task retrieval".split()) == 0
    assert "retrieval" in json.loads(Path("run/results.json").read_text())


def test_an_index_is_searched_and_brought_up_to_date_without_encoding_again(written, capsys):
    with np.load("pictures/.miniclip/index.npz") as file:
        names, mtimes = file["paths"].tobytes().decode().split("\0"), file["mtimes"].tolist()
    for name, mtime in zip(names, mtimes):
        os.utime(written / "pictures" / name, ns=(mtime, mtime))
    model = ["--checkpoint", "run/checkpoint.pt"]
    assert search(["find", "left red", "pictures", *model]) == 0
    assert search(["index", "pictures", *model]) == 0
    assert "0 read, 24 unchanged, 0 forgotten" in capsys.readouterr().out


@pytest.mark.slow
def test_curated_pairs_are_trained_on(written, capsys):
    common = "--model vit_mini --batch-size 2 --steps 1 --threads 1".split()
    assert train.main(["--data", "curated.csv", "--out", "a", *common]) == 0
    assert train.main(["--pairs", "listed.csv", "--out", "b", *common]) == 0
    assert "--pairs LIST is now written --keep LIST\n" in capsys.readouterr().err
