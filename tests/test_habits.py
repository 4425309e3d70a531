"""What people do out of habit with a CLIP, each against the real library."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

import miniclip
from miniclip.zeroshot import classifier_weights
from tests.shared import ROOT, python
from tests.weights.models import our_checkpoint

pytestmark = pytest.mark.slow


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


def test_templates_with_c(labelled, tmp_path):
    (tmp_path / "templates.txt").write_text("a {c}\nthe {c}\n")
    command = ["eval.py", "--checkpoint", "icons", "--images", labelled]
    command += ["--templates", tmp_path / "templates.txt", "--task", "zero_shot"]
    python(*command, "--out", tmp_path / "out")
    assert (tmp_path / "out/results.json").exists()


def saved_whole(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)


WRAPPED = {
    "copy.deepcopy": copy.deepcopy,
    "torch.save of the whole model": saved_whole,
    "torch.compile": lambda model: torch.compile(model, backend="eager"),
    "requires_grad_(False)": lambda model: copy.deepcopy(model).requires_grad_(False),
    "in fp64": lambda model: copy.deepcopy(model).double().float(),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_model_is_an_ordinary_module(icons, how):
    model, tokenizer, preprocess = icons
    image = preprocess(Image.open(ROOT / "docs/umbrella.png"))[None]
    with torch.no_grad():
        wanted = model(image, tokenizer(["umbrella", "house"]))
        found = WRAPPED[how](model)(image, tokenizer(["umbrella", "house"]))
    for ours, theirs in zip(wanted, found):
        torch.testing.assert_close(ours, theirs)


def test_threads_share_a_model(icons):
    model, tokenizer, _ = icons
    texts = ["cat", "dog", "umbrella", "house"] * 4
    with torch.no_grad(), ThreadPoolExecutor(4) as pool:
        alone = [*pool.map(lambda text: model.encode_text(tokenizer(text)), texts)]
        torch.testing.assert_close(torch.cat(alone), model.encode_text(tokenizer(texts)))


def test_a_linear_probe_trains_on_a_frozen_tower(icons):
    model = copy.deepcopy(icons[0]).requires_grad_(False)
    head = torch.nn.Linear(model.config["embed_dim"], 2)
    loss = head(model.encode_image(torch.rand(4, 3, 32, 32))).logsumexp(1).sum()
    loss.backward()
    assert head.weight.grad.any() and all(p.grad is None for p in model.parameters())
