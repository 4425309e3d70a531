"""Shards over a network, from a server on this machine: whole, once, or named; never half a file."""

import functools
import http.server
import threading

import pytest

from miniclip.data import open_pairs
from miniclip.data.shards.pack import pack
from tests.data.tars import Coloured
from tests.shared import must_refuse

try:
    import s3fs
except ImportError:
    s3fs = None
NEEDS_S3 = pytest.mark.skipif(s3fs is None, reason="s3fs is not installed")
remote = pytest.importorskip("miniclip.data.shards.remote")
pytestmark = pytest.mark.usefixtures("cache")


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder. server.asked: the paths asked for; server.ill: how many more answers are cut
    off in the middle of a file."""

    def log_message(self, *_):
        """Nothing is printed."""

    def do_GET(self):
        """A file, or the list of a folder's files."""
        self.server.asked.append(self.path)
        return self.send_error(403) if "forbidden" in self.path else super().do_GET()

    def copyfile(self, source, outputfile):
        """The content of the answer, whose length was promised before."""
        data = source.read()
        if self.server.ill:
            self.server.ill -= 1
            data = data[: len(data) // 2]
        outputfile.write(data)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """60 pairs in bucket/00000.tar to 00011.tar."""
    pack(Coloured(60), tmp_path / "bucket", 5)
    handler = functools.partial(Files, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked, server.ill = [], 0
        server.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(remote, "WAITS_S", (0.01, 0.02, 0.04))
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        if s3fs:
            s3fs.S3FileSystem.clear_instance_cache()  # they know the server of another test
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def files(folder):
    """What is in the folders of a cache, hidden files too."""
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "source",
    [
        "http/bucket/{00000..00011}.tar",
        pytest.param("s3://bucket/{00000..00011}.tar", marks=NEEDS_S3),
    ],
)
def test_shards_are_the_same_pairs_as_their_copies_and_fetched_once(source, server, tmp_path):
    source, copies = source.replace("http", server.address), open_pairs(tmp_path / "bucket")
    pairs = open_pairs(source, cache_dir=str(tmp_path / "kept"))
    assert pairs.digest == copies.digest and pairs.splits["heldout"] == copies.splits["heldout"]
    assert all(pairs.image(i).tobytes() == copies.image(i).tobytes() for i in range(60))
    fetched = {path.name: path.read_bytes() for path in files(tmp_path / "kept")}
    assert fetched == {path.name: path.read_bytes() for path in files(tmp_path / "bucket")}
    server.asked.clear()
    assert open_pairs(source, cache_dir=str(tmp_path / "kept")).digest == pairs.digest
    assert not [path for path in server.asked if path.endswith(".tar")]


@pytest.mark.parametrize("scheme", ["http", pytest.param("s3", marks=[pytest.mark.slow, NEEDS_S3])])
def test_an_interrupted_transfer_is_tried_again_and_never_leaves_half_a_file(
    scheme, server, cache, tmp_path
):
    address = {"http": f"{server.address}/", "s3": "s3://"}[scheme] + "bucket/00000.tar"
    server.ill = len(remote.WAITS_S)
    open_pairs(address)
    [kept] = files(cache / "shards")
    assert kept.read_bytes() == (tmp_path / "bucket/00000.tar").read_bytes()
    kept.unlink()
    server.ill = 1000
    must_refuse("00000.tar cannot be fetched: ", open_pairs, address)
    assert not files(cache / "shards")


def test_what_is_not_there_is_named_and_the_others_are_read(server, cache, tmp_path):
    (tmp_path / "page.tar").write_text("<html>please log in</html>")
    pairs = open_pairs(f"{server.address}/bucket/{{00010..00012}}.tar")
    assert len(pairs) == 10 and pairs.skipped == [("00012.tar", "No such file or directory")]
    for source, says in {
        f"{server.address}/bucket/no.tar": r"no.tar in .* gives no pair: left out 1: no.tar \(No such file",
        f"{server.address}/no/*.tar": r"has a \*; name several shards",
        f"{server.address}/bucket/pairs.csv": "is not a .tar; only shards are fetched",
        "http://127.0.0.1:9/a.tar": "cannot be fetched: .*Cannot connect to host",
        "nothing://a.tar": "cannot be fetched: .*Protocol not known",
        f"{server.address}/forbidden.tar": "cannot be fetched: .*403",
        f"{server.address}/page.tar": "cannot be fetched: .*not a tar",
    }.items():
        must_refuse(says, open_pairs, source)
    assert server.asked.count("/forbidden.tar") == 1


def test_shards_of_one_name_at_two_addresses_are_two_files(tmp_path):
    urls = ["http://a/0.tar", "http://b/0.tar", "http://a/0.tar?key=1", "s3://a/0.tar"]
    places = {remote.place(url, tmp_path) for url in urls}
    assert len(places) == 4 and {place.name for place in places} == {"0.tar"}


def test_without_fsspec_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "miniclip.data.shards.remote", None)
    must_refuse(r"pip install 'miniclip\[remote\]'", open_pairs, "s3://a/0.tar")
