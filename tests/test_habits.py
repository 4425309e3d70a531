"""What people do out of habit with a CLIP, each against the real library."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import miniclip
from miniclip.zeroshot import classifier_weights
from tests.weights.models import our_checkpoint

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def icons():
    return miniclip.load("icons")


@pytest.fixture
def labelled(tmp_path):
    """Folders of two classes with three pictures each."""
    for k, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (40, 30), (200 * k, 20 * i, 0)).save(
                tmp_path / "pictures" / name / f"{i}.png"
            )
    return tmp_path / "pictures"


def test_preprocess_is_the_transform_of_an_image_folder_in_spawned_workers(icons, labelled):
    torchvision = pytest.importorskip("torchvision")
    data = torchvision.datasets.ImageFolder(labelled, transform=icons[2])
    how = dict(batch_size=2, num_workers=1, multiprocessing_context="spawn")
    batches = [*torch.utils.data.DataLoader(data, **how)]
    assert [images.shape for images, _ in batches] == [(2, 3, 32, 32)] * 3


def test_zero_shot_by_hand_is_the_classifier_of_the_library(icons):
    model, tokenizer, preprocess = icons
    image = preprocess(Image.open(ROOT / "docs/umbrella.png"))[None]
    with torch.no_grad():
        image, text, scale = model(image, tokenizer(["umbrella", "house"]))
        weights = classifier_weights(model, tokenizer, ["umbrella", "house"], ["{}"])
    assert torch.allclose(image @ text.T, image @ weights, atol=1e-5)
    assert (scale * image @ text.T).softmax(-1)[0, 0] > 0.5


def test_a_model_moves_to_16_bits_and_goes_on(icons):
    model, tokenizer, _ = miniclip.load("icons")
    text = model.to(torch.bfloat16).encode_text(tokenizer(["umbrella"]))
    assert text.dtype == model.dtype == torch.bfloat16 and text.isfinite().all()


def test_features_go_into_numpy_and_scikit_learn(icons):
    linear = pytest.importorskip("sklearn.linear_model")
    model, tokenizer, _ = icons
    x = model.encode_text(tokenizer(["cat", "dog", "cat face", "dog face"])).detach().numpy()
    assert isinstance(x, np.ndarray) and linear.LogisticRegression().fit(x, [0, 1, 0, 1]).score(
        x, [0, 1, 0, 1]
    )


def test_a_pipeline_of_transformers_takes_an_exported_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = miniclip.create_model("vit_mini", 520, vision_layers=1, text_layers=1)
    tokenizer = our_checkpoint(model, tmp_path / "c.pt")
    miniclip.weights.save_huggingface(model, tmp_path / "hf", tokenizer)
    classify = transformers.pipeline("zero-shot-image-classification", str(tmp_path / "hf"))
    found = classify(Image.new("RGB", (50, 40)), candidate_labels=["a cup", "a heart"])
    assert {one["label"] for one in found} == {"a cup", "a heart"}


def test_templates_with_c_and_the_one_command(labelled, tmp_path):
    (tmp_path / "templates.txt").write_text("a {c}\nthe {c}\n")
    command = [sys.executable, "eval.py", "--checkpoint", "icons", "--images", labelled]
    command += ["--templates", tmp_path / "templates.txt", "--task", "zero_shot"]
    subprocess.run([*command, "--out", tmp_path / "out"], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "out/results.json").exists()
    said = subprocess.run(
        [sys.executable, "-m", "miniclip", "cost", "--model", "vit_b32", "--data-pairs", "1000"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Tflop" in said.stdout or "flop" in said.stdout
