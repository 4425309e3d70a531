"""Attacks on the page of an index: pictures that take long, other sites, requests that never end."""

import contextlib
import functools
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from miniclip.data import image_io
from miniclip.search import serve
from miniclip.search.build import build
from miniclip.search.embed import open_encoder
from tests.attacks import attack
from tests.search.folders import fill, tiny_checkpoint

ASKED = "/classify?classes=cat,dog"


def page():
    """The page of an index of some pictures, a Flask application."""
    fill(Path("in"), 9)
    encoder = open_encoder(tiny_checkpoint("model.pt"), device="cpu")
    index = build("in", "in/.miniclip", encoder)[0]
    index.features[8] = 0  # which is no unit vector
    serve.secrets.randbelow = lambda most: 0  # the first picture has the number 0
    return serve.create_app(index, encoder)


def served(app):
    """Serve a page in a thread: its port."""
    at = serve.listen("127.0.0.1", 0)
    threading.Thread(target=serve.make_server(app, at).run, daemon=True).start()
    return at.getsockname()[1]


def still_answers(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/about", timeout=8) as answer:
        assert answer.status == 200


@attack(code=0)
def other_sites_that_ask(folder):
    client, picture = page().test_client(), Path("in/00001.png").read_bytes()

    def code(path, how=client.get, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return how(path, headers=headers, **({"data": picture} if how == client.post else {}))

    for foreign in ("https://evil.example", "null", "http://localhost:3000", "//", "http://[", "x"):
        assert code(ASKED, client.post, Origin=foreign).status_code == 403, foreign
    for path in (ASKED, "/search?text=cup", "/picture/0", "/original/0", "/about"):
        for how in (client.get, client.post):
            assert code(path, how, Sec_Fetch_Site="cross-site").status_code == 403, path
    assert code("/", Sec_Fetch_Site="cross-site").status_code == 200, "a link to the page"
    own = dict(Origin="http://localhost", Sec_Fetch_Site="same-origin")
    assert code(ASKED, client.post, **own).status_code == 200
    proxied = own | {"Origin": "https://photos.example"}  # a reverse proxy has replaced the Host
    assert code(ASKED, client.post, **proxied).status_code == 200
    assert code(ASKED, client.post).status_code == 200


@attack(code=0)
def a_picture_that_takes_long_to_decode(folder):
    app, go_on, read = page(), threading.Event(), image_io.read

    def slow(*how):
        go_on.wait(60)
        return read(*how)

    image_io.read = slow
    data = Path("in/00001.png").read_bytes()
    port, count = served(app), serve.MOST_WAITING + 1
    with ThreadPoolExecutor(count) as pool:
        ask = functools.partial(urllib.request.urlopen, f"http://127.0.0.1:{port}{ASKED}", data, 60)
        sent = [pool.submit(ask) for _ in range(count)]
        refused, decoded = wait(sent, return_when=FIRST_COMPLETED)
        still_answers(port)
        go_on.set()
    assert [one.exception().code for one in refused] == [503]
    assert all(one.result().status == 200 for one in decoded)


@attack(code=0, says="^$")
def a_length_of_5000_digits_or_an_address_with_one_bracket(folder):
    port = served(page())
    for address, length in (("/search", "9" * 5000), ("http://[::1/search", "9")):
        with socket.create_connection(("127.0.0.1", port)) as client:
            head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}"
            client.sendall(f"{head}\r\n\r\n".encode())
            assert client.recv(99).startswith(b"HTTP/1.1 400 ")


@attack(code=0)
def many_pictures_at_once(folder):
    app, now, most, read = page(), [], [], image_io.read
    data = Path("in/00001.png").read_bytes()

    def counted(*how):
        now.append(how)
        most.append(len(now))
        time.sleep(0.02)
        now.pop()
        return read(*how)

    def asked(row):
        app.test_client().get(f"/picture/{row}")
        app.test_client().post(ASKED, data=data)

    image_io.read = counted
    with ThreadPoolExecutor(9) as pool:
        [*pool.map(asked, range(9))]
    assert len(most) == 18 and max(most) == 1, most


@attack(code=0)
def requests_that_are_sent_by_half(folder):
    port = served(page())
    half = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
    for connection in half:
        connection.sendall(
            b"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nab"
        )
    still_answers(port)


@attack(code=0, seconds=30, slow=True)
def as_many_characters_of_classes_as_are_allowed(folder):
    port = served(page())
    classes = "".join(f"{k:03d}{'😀' * 16}," for k in range(1000))[:-2]
    for more, code in (("", 200), ("x", 400)):
        asked = urllib.parse.urlencode(dict(classes=classes + more, row=1))
        try:
            url = f"http://127.0.0.1:{port}/classify?{asked}"
            answer = urllib.request.urlopen(url, b"", timeout=60).status
        except urllib.error.HTTPError as error:
            answer = error.code
        assert answer == code, answer


@attack(code=0)
def an_upload_that_is_too_large(folder):
    port, data = served(page()), bytes(serve.MAX_UPLOAD + 1)
    for body in (data, iter([data])):  # the second is sent in chunks
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{ASKED}", body, timeout=60)
        except urllib.error.HTTPError as error:
            assert error.code == 413
            continue
        raise AssertionError("it was accepted")


@attack(code=0, seconds=30, mb=1000, slow=True)
def clients_that_ask_for_large_answers_and_never_read(folder):
    """More clients than the server has threads; two answers of 20 MB are more than waitress lets a
    client leave unread by itself, and would keep a thread each."""
    app, serve.THREADS = page(), 8
    app.add_url_rule("/large", view_func=lambda: bytes(20 << 20))
    port = served(app)
    with contextlib.ExitStack() as held:
        for _ in range(serve.THREADS + 4):
            client = held.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2)
        time.sleep(2)
        still_answers(port)
