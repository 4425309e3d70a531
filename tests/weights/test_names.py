"""Weights by their names: found in the caches of other libraries, or downloaded from a local hub."""

import hashlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import miniclip
from miniclip.model.clip import ALIASES, MODELS, OPENAI, OPENCLIP, create_model
from miniclip.weights import names, reading
from tests.shared import must_refuse
from tests.weights.models import openclip_config, our_checkpoint, same_weights, tiny_release

hub = pytest.importorskip("huggingface_hub")
pytest.importorskip("huggingface_hub.hf_api")  # so that hub.hf_api and hub.constants are there
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without caches, and a tiny model in the place of vit_b32."""
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / ".cache/huggingface/hub"))
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    """A folder of a tiny CLIP as Hugging Face's hub has it, and its model."""
    model = create_model("vit_mini", 520, vision_layers=1, text_layers=1)
    tokenizer = our_checkpoint(model, tmp_path / "c.pt")
    miniclip.weights.save_huggingface(model, tmp_path / "theirs", tokenizer)
    (tmp_path / "theirs/README.md").write_text("not needed")
    return tmp_path / "theirs"


class Hub(http.server.BaseHTTPRequestHandler):
    """What the hub answers about one repository; server.folder, server.wrong: how it misbehaves."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        self.send_header("Content-Length", len(body))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            cut = self.server.wrong == "interrupted" and self.path.endswith(".safetensors")
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection |= cut

    def do_GET(self):
        self.server.asked.append(f"{self.command} {self.path}")
        name, files = Path(self.path).name, {p.name: p for p in self.server.folder.iterdir()}
        if self.server.wrong == "404":
            self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        elif "/tree/" in self.path:
            sizes = {name: len(p.read_bytes()) for name, p in files.items()}
            tree = [{"type": "file", "path": n, "size": s, "oid": "0"} for n, s in sizes.items()]
            self.answer(200, json.dumps(tree).encode(), Content_Type="application/json")
        elif self.path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in files]
            facts = {"id": "openai/clip-vit-base-patch32", "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(facts).encode(), Content_Type="application/json")
        elif "/resolve/" in self.path and name in files:
            body = files[name].read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            self.answer(200, body, ETag=etag, X_Repo_Commit=COMMIT)
        else:
            self.answer(404, X_Error_Code="EntryNotFound")

    do_HEAD = do_GET


@pytest.fixture
def server(home, folder, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.wrong, server.asked = folder, None, []
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hub.hf_api.api, "endpoint", address)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def cached(home, repository):
    """The empty folder of a snapshot in the hub's cache."""
    place = home / f".cache/huggingface/hub/models--{repository}"
    for folder in (place / "refs", place / "snapshots" / COMMIT):
        folder.mkdir(parents=True)
    (place / "refs/main").write_text(COMMIT)
    return place / "snapshots" / COMMIT


def test_all_spellings_of_a_released_model_mean_it():
    assert {*OPENAI.values()} == names.PUBLISHED.keys() < MODELS.keys()
    for spelled in ("ViT-L/14@336px", "ViT-L-14-336", "vit_l14_336"):
        assert ALIASES.get(spelled, spelled) == "vit_l14_336" and names.is_known(spelled)
    assert create_model("ViT-B/32", vocab_size=520, text_layers=1, vision_layers=1).config["name"]
    for other in ("vit_mini", "vit/b32", "./vit_b32", "ViT-B-33", "openai/clip", "vit_b32.pt"):
        assert not names.is_known(other)


def test_spellings_and_hashes_are_those_that_open_clip_names():
    pretrained = pytest.importorskip("open_clip.pretrained")
    for ours, (sha256, *repositories) in names.PUBLISHED.items():
        facts = pretrained.get_pretrained_cfg(OPENCLIP[ours], "openai")
        assert sha256 in facts["url"] and facts["hf_hub"].rstrip("/") == repositories[-1]


def test_a_name_is_downloaded_once(server, folder):
    want = miniclip.load(folder)[0].state_dict()
    for name in ("openai/clip-vit-base-patch32", "ViT-B/32", "vit_b32"):
        model, tokenizer, _ = miniclip.load(name)
        assert all(torch.equal(x, want[k]) for k, x in model.state_dict().items())
        assert tokenizer("a cup").shape[0] == 1
    asked = [line for line in server.asked if "GET" in line and line.endswith(".safetensors")]
    assert len(asked) == 1 and not any("README" in line for line in server.asked)


def test_any_repository_has_a_name_and_may_hold_several_files(server, folder):
    home = folder / "model-00001-of-00001.safetensors"
    (folder / "model.safetensors").rename(home)
    index = {"weight_map": dict.fromkeys(load_file(home), home.name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert miniclip.load("hf-hub:somebody/a.clip")[0]
    must_refuse("cannot be downloaded .*: Repo id must", miniclip.load, "hf-hub:../../etc")


@pytest.mark.parametrize(
    "name, says",
    [
        ("processor_config.json", "image_mean is .0.5, 0.5, 0.5"),  # transformers 5 writes it alone
        ("adapter_config.json", "holds an adapter"),
    ],
)
def test_a_file_that_makes_a_folder_be_refused_is_downloaded_with_the_weights(
    server, folder, name, says
):
    (folder / "preprocessor_config.json").unlink()
    (folder / name).write_text(json.dumps({"image_processor": {"image_mean": [0.5] * 3}}))
    for source in (folder, "hf-hub:somebody/a.clip"):
        must_refuse(says, miniclip.load, source)


@pytest.mark.parametrize(
    "wrong",
    ["404", pytest.param("interrupted", marks=pytest.mark.slow)],  # the hub tries again
)
def test_what_cannot_be_downloaded_is_one_sentence_and_can_be_tried_again(server, wrong):
    server.wrong = wrong
    must_refuse("cannot be downloaded .try again, or hf download openai", miniclip.load, "ViT-B/32")
    server.wrong = None
    assert miniclip.load("ViT-B/32")[0]


def test_offline_nothing_is_asked_for_and_a_path_never_is(server, monkeypatch):
    for path in ("vit_b32.pt", "./vit_b32", "models/ViT-B-32"):
        must_refuse("there is no weights file", miniclip.load, path)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    must_refuse("ViT-B/32 is not on this machine", miniclip.load, "ViT-B/32")
    assert not server.asked


def test_a_cached_folder_without_its_config_is_not_enough(server, home, folder):
    """open_clip's downloads may lack the config, and transformers' the weights."""
    snapshot = cached(home, "openai--clip-vit-base-patch32")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, snapshot)
    assert names.locate("ViT-B/32") == snapshot and not server.asked
    (snapshot / "config.json").unlink()
    assert names.locate("ViT-B/32") == snapshot and server.asked


def test_weights_that_transformers_has_left_in_the_cache_are_completed_if_possible(
    server, home, folder, monkeypatch
):
    snapshot = cached(home, "somebody--a.clip")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, snapshot)
    asked = {"image_processor": {"image_mean": [0.5] * 3}}
    (folder / "processor_config.json").write_text(json.dumps(asked))
    (folder / "preprocessor_config.json").unlink()
    with monkeypatch.context() as offline:
        offline.setattr(hub.constants, "HF_HUB_OFFLINE", True)
        assert names.locate("hf-hub:somebody/a.clip") == snapshot
    must_refuse("image_mean is .0.5, 0.5, 0.5", miniclip.load, "hf-hub:somebody/a.clip")
    assert not any("/main" in line for line in server.asked), "main may be another commit by now"


def test_a_download_of_several_files_that_was_interrupted_is_completed(server, home, folder):
    weights, part = folder / "model.safetensors", folder / "model-00001-of-00001.safetensors"
    index = {"weight_map": dict.fromkeys(load_file(weights), part.name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    weights.rename(part)
    snapshot = cached(home, "somebody--a.clip")
    for name in ("config.json", "model.safetensors.index.json"):
        shutil.copy(folder / name, snapshot)
    assert miniclip.load("hf-hub:somebody/a.clip")[0] and (snapshot / part.name).exists()


def test_without_the_hubs_package_one_sentence_says_what_to_do(home, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    must_refuse("pip install huggingface_hub, or hf download openai", miniclip.load, "ViT-B/32")


def test_openais_file_is_found_and_its_hash_is_checked(home, monkeypatch):
    file = home / ".cache/clip/ViT-B-32.pt"
    file.parent.mkdir(parents=True)
    miniclip.weights.save_openclip(tiny_release(monkeypatch), file)
    must_refuse("another SHA-256 than OpenAI published", miniclip.load, "ViT-B/32")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setitem(names.PUBLISHED, "vit_b32", (sha256, "openai/clip-vit-base-patch32"))
    assert reading.find("ViT-B-32") == file and miniclip.load("vit_b32")[0]


def test_what_is_at_a_path_counts_more_than_a_name(home, folder, monkeypatch):
    monkeypatch.chdir(home)
    shutil.copytree(folder, "openai/clip-vit-base-patch32")
    assert miniclip.load("openai/clip-vit-base-patch32")[0]
    assert reading.find("openai/clip-vit-base-patch32").parts[0] == "openai"


def test_the_picture_tower_that_timm_keeps_beside_a_clip_is_not_read(server, home, monkeypatch):
    """timm's create_model("resnet50_clip.openai") reads config.json and model.safetensors of the
    repository in which open_clip finds RN50."""
    server.folder, model = home / "timm", tiny_release(monkeypatch)
    miniclip.weights.save_openclip(model, server.folder / "open_clip_model.safetensors")
    save_file({"stem.conv1.weight": torch.ones(1)}, server.folder / "model.safetensors")
    for name, config in {
        "config.json": {"architecture": "resnet50_clip"},
        "open_clip_config.json": openclip_config(model.config),
    }.items():
        (server.folder / name).write_text(json.dumps(config))
    snapshot = cached(home, "timm--resnet50_clip.openai")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(server.folder / name, snapshot)
    for source in (server.folder, "RN50", "hf-hub:timm/resnet50_clip.openai"):
        assert same_weights(miniclip.load(source)[0], model)
    vit = create_model("vit_mini", 520, vision_layers=1, text_layers=1)
    theirs = vit, server.folder, our_checkpoint(vit, home / "c.pt")
    must_refuse("holds open_clip_config.json", miniclip.weights.save_huggingface, *theirs)
