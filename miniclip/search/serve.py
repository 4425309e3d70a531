"""A page that searches an index in a browser: python -m miniclip.search serve

Words, a picture or both find pictures. A second tab classifies a picture by classes that the user
types (zero-shot: CLIP, section 3.1), by their names alone and inside a template. In both the picture
is one of the index, or a file that is sent.
By default only this machine can open the page. A picture is asked for by its number and never by a
path. It is sent as pixels, never as the bytes of a file, and a link that leads out of the folder of
the index is not followed. An upload stays in memory. The page is for people whom you trust: left out
are passwords, HTTPS, and limits for clients that ask on and on.
"""

import contextlib
import importlib.util
import io
import ipaddress
import logging
import os
import re
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import torch
from PIL import Image

from miniclip.common import Parser, UserError, command, number, refuse
from miniclip.data import image_io
from miniclip.data.dataset import BadPicture, printable
from miniclip.search.database import Index
from miniclip.search.embed import Encoder
from miniclip.search.find import SEARCH, nearest, open_search, query, thumbnail
from miniclip.zeroshot import classifier_weights, encode_tensors

MAX_UPLOAD = 32 << 20  # bytes
MAX_HELD = 256 << 20  # bytes of all uploads that are not answered yet
THREADS = 8  # requests answered at once
CONNECTIONS = 200  # at once: macOS lets a process open 256 files, sockets included
IDLE_SECONDS = 20  # a connection without a request, or whose request has no whole head, is closed
BODY_SECONDS = 60  # more for the rest of a request, which may be an upload
# bytes of answers that a connection has not read; it is closed when it is idle
MOST_UNSENT = 1 << 40
MAX_CLASSES, MAX_ANSWERS = 1000, 240
LONGEST_SIDE = 65_500  # pixels of a JPEG
LONGEST_TEXT = 1000  # characters of a class or of the template
MOST_TEXT = 20_000  # of all of them: a character takes up to 12 bytes, a request's head 256 KiB
OPTIONS = SEARCH | {
    "--host": dict(default="127.0.0.1", help="address to listen at (127.0.0.1: only this machine)"),
    "--port": dict(
        type=number(int, low=0, high=65535), default=8000, help="8000; 0 for any free one"
    ),
}
SAMPLE = 24  # pictures that the page shows before anything is asked
HEADERS = {
    # nothing from another site, and no other site may show the page or its pictures
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; form-action 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",  # numbers mean other pictures after a new start
}


class Live:
    """The index of the page, which is read again when its file has changed.

    With each reading the numbers of its pictures go on from `first`, so that a number that a browser
    has kept never means another picture.
    """

    def __init__(self, index: Index):
        self.index, self.first, self.reading = index, 0, threading.Lock()

    def now(self) -> tuple[Index, int]:
        """(the index, the number of its first picture). Raises UserError where the index is gone, or
        is now another model's or another folder's."""
        with self.reading:
            if self.index.has_changed():
                index = Index.open(self.index.place)
                kinds = [(x.root, x.digest, x.features.shape[1]) for x in (index, self.index)]
                other = "the index is now another folder's or another model's; start the page again"
                refuse({other: kinds[0] != kinds[1]})
                self.first += len(self.index)
                self.index = index
            return self.index, self.first


def create_app(index: Index, encoder: Encoder, host: str = "127.0.0.1"):
    """The page of an index, a Flask application. host: a name by which it may be asked."""
    import flask
    from werkzeug.exceptions import HTTPException

    app = flask.Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_UPLOAD
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    root, alone = Path(os.path.realpath(index.root)), threading.Lock()  # alone: with the model
    decoding = threading.Lock()  # a picture may take 1 GB until it is small
    live, g = Live(index), flask.g  # g.index and g.first are those of one request

    def row_of(text):
        row = int(text) - g.first if re.fullmatch("[0-9]{1,12}", text) else -1
        if 0 <= row < len(g.index):
            return row
        gone = f"there is no picture {printable(text, 20)} in the index now; search again"
        flask.abort(404, gone)

    def listed(row):
        """What the page says of a picture. Only a browser on this machine can use its whole path."""
        is_here = ipaddress.ip_address(flask.request.remote_addr).is_loopback
        path = os.path.abspath(g.index.path(row)) if is_here else g.index.paths[row]
        name = printable(g.index.paths[row], 200)
        return {"row": g.first + row, "name": name, "path": printable(path, 4096)}

    def chosen(number):
        """The picture that a request is about: (its row or None, its unit features (E,) or None).

        It is the one with this number, or the body of the request, a file.
        """
        upload = flask.request.get_data(cache=False)  # a form would be kept in a file
        both = bool(number and upload)
        refuse({"a picture of the index and a file were sent; send one": both})
        if number:
            row = row_of(number)
            features = torch.from_numpy(g.index.features[row]).float()
            odd = not abs(features.norm() - 1) < 0.01  # NaN as well
            refuse({"the index holds features that are not of length one; make it again": odd})
            return row, features
        if not upload:
            return None, None
        try:
            with decoding:
                picture = encoder.preprocess(image_io.read(io.BytesIO(upload)))
        except BadPicture as error:
            raise UserError(f"this file cannot be used: {error}") from None
        with alone:
            return None, encode_tensors(encoder.model, [picture[None]])[0]

    def sent(number, read, kind, **how):
        """The picture with this number, as `read` returns it from its path, written as `kind`."""
        row, file = row_of(number), io.BytesIO()
        path = Path(os.path.realpath(g.index.path(row)))
        try:
            if root not in path.parents:
                raise BadPicture("a link that leads out of the folder")
            with decoding:
                read(path).save(file, kind, **how)
        except BadPicture as error:
            flask.abort(404, f"{printable(g.index.paths[row])} cannot be shown: {error}")
        return file.getvalue(), {"Content-Type": f"image/{kind.lower()}"}

    @app.before_request
    def check_origin():
        """Against DNS rebinding, where a name of another site was made to lead here, and against
        requests that the page of another site makes."""
        asked = flask.request
        if not _is_ours(asked.host, host):
            flask.abort(403, "the page must be opened by the address that the command printed")
        _, _, origin = asked.headers.get("Origin", f"//{asked.host}").rpartition("//")
        elsewhere = asked.headers.get("Sec-Fetch-Site") == "cross-site" and asked.path != "/"
        if elsewhere or origin != asked.host:
            flask.abort(403, "only this page itself may send requests")

    @app.before_request
    def look_for_a_new_index():
        if flask.request.path != "/":
            g.index, g.first = live.now()

    @app.after_request
    def add_headers(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def say(error):
        too_large = f"a picture may have at most {MAX_UPLOAD >> 20} MB"
        return {"error": too_large if error.code == 413 else error.description}, error.code

    app.register_error_handler(UserError, lambda error: ({"error": str(error)}, 400))
    app.add_url_rule("/", view_func=lambda: page, endpoint="page")

    @app.get("/about")
    def about():
        rows = range(0, len(g.index), -(-len(g.index) // SAMPLE))
        return {
            "pictures": len(g.index),
            "folder": printable(root.name or root),
            "model": printable(os.path.basename(encoder.file)),
            "max_upload": MAX_UPLOAD,
            "sample": [listed(row) for row in rows],
        }

    @app.get("/picture/<number>")
    def picture(number):
        return sent(number, thumbnail, "PNG", compress_level=1)

    @app.get("/original/<number>")
    def original(number):
        return sent(number, whole, "JPEG", quality=95)

    @app.route("/search", methods=["GET", "POST"])
    def search():
        asked, began = flask.request.args, time.monotonic()
        text, k = (asked.get(name, "") for name in ("text", "k"))
        own, image = chosen(asked.get("like"))
        refuse(
            {
                "k must be a whole number of at least 1: how many to find": not re.fullmatch(
                    "[1-9][0-9]{0,11}|", k
                ),
                "type what to look for, or choose a picture": not text.strip() and image is None,
            }
        )
        k = min(int(k or 24), MAX_ANSWERS)
        with alone:
            cosines, rows = nearest(g.index.features, query(encoder, text, image), k + 1)
        found = [(row, c) for row, c in zip(rows.tolist(), cosines.tolist()) if row != own][:k]
        return {
            "found": [listed(row) | {"cosine": cosine} for row, cosine in found],
            "like": None if own is None else listed(own),
            "pictures": len(g.index),
            "seconds": time.monotonic() - began,
        }

    @app.post("/classify")
    def classify():
        asked = flask.request.args
        names = (name.strip() for name in re.split(r"[,\n]", asked.get("classes", "")))
        names, template = list(dict.fromkeys(filter(None, names))), asked.get("template", "{}")
        characters = len(asked.get("classes", "") + template)
        refuse(
            {
                f"type from 2 to {MAX_CLASSES:,} classes, a comma between them": not (
                    2 <= len(names) <= MAX_CLASSES
                ),
                f"a class or a template has at most {LONGEST_TEXT:,} characters": max(
                    map(len, [template, *names])
                )
                > LONGEST_TEXT,
                "the template must hold {} once, where the name goes": template.count("{}") != 1,
                f"classes and template have more than {MOST_TEXT:,} characters; leave some out": (
                    characters > MOST_TEXT
                ),
            }
        )
        _, image = chosen(asked.get("row"))
        refuse({"choose a picture first": image is None})
        with alone:
            # classifier_weights would cut the end of a template that does not fit into the context
            sentences = [template.replace("{}", name) for name in names]
            encoder.tokenizer(sentences, truncate=False)
            scale = encoder.model.logit_scale.exp().item()
            bare, templated = (
                (scale * image @ classifier_weights(encoder.model, encoder.tokenizer, names, [t]))
                .softmax(0)
                .tolist()
                for t in ("{}", template)
            )
        return {"names": names, "bare": bare, "templated": templated, "scale": scale}

    return app


def whole(path: Path) -> Image.Image:
    """A picture as large as a JPEG can be, PIL, mode RGB. Raises BadPicture."""
    image = image_io.read(path)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return image


def _is_ours(asked, host):
    """Whether a Host header names this server: by an address, as localhost or as --host does.

    Flask's own TRUSTED_HOSTS is a list of names, and with --host 0.0.0.0 any address may be right.
    """
    try:
        name = urlsplit(f"//{asked}").hostname
        return name in ("localhost", host.lower()) or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. port 0: any free one. Raises UserError."""
    try:
        family, *_, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        return socket.create_server((address[0], port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0]
        raise UserError(
            f"the page cannot listen at {printable(host)}, port {port}: {reason}; "
            "choose others with --host and --port"
        ) from None


def make_server(app, at: socket.socket):
    """A waitress server of `app` on the socket `at`, which keeps whole requests in memory."""
    import waitress
    from waitress.channel import HTTPChannel

    class Channel(HTTPChannel):
        """A connection that is closed when its request takes too long to come, although bytes of it
        still do, or when all uploads together take too much memory."""

        def received(self, data):
            if self.request is None:
                self.began = time.time()
            taken = super().received(data)
            has_head = self.request is not None and self.request.headers_finished
            # from which waitress counts IDLE_SECONDS
            self.last_activity = self.began + BODY_SECONDS * has_head
            channels = self.server.active_channels.values()
            requests = [r for c in channels for r in (*c.requests, c.request) if r]
            too_much = sum(r.body_bytes_received for r in requests) > MAX_HELD
            self.will_close |= has_head and too_much
            return taken

    logging.getLogger("waitress").setLevel(logging.ERROR)  # browsers ask for many at once
    server = waitress.create_server(
        app,
        sockets=[at],
        # above the limit of the page, so that the page's own sentence says what is too large
        max_request_body_size=2 * MAX_UPLOAD,
        inbuf_overflow=2 * MAX_UPLOAD,  # the first size that would be written to a file
        outbuf_high_watermark=MOST_UNSENT,  # the first size at which a thread waits for the client
        threads=THREADS,
        connection_limit=CONNECTIONS,
        asyncore_use_poll=True,  # select has a limit of 1,024 files
        channel_timeout=IDLE_SECONDS,
        cleanup_interval=IDLE_SECONDS // 4,
    )
    server.channel_class = Channel
    return server


@command("python -m miniclip.search serve")
def main(argv=None):
    """The command: serve the page until Ctrl-C. Returns the exit code."""
    what = "Search an index in a browser, and classify pictures by classes that you type."
    args = Parser.of("python -m miniclip.search serve", what, OPTIONS).parse_args(argv)
    missing = not all(map(importlib.util.find_spec, ("flask", "waitress")))
    refuse({"the page needs flask and waitress: pip install 'miniclip[app]'": missing})
    with listen(args.host, args.port) as at:
        index, encoder = open_search(
            args.folder, args.index, args.checkpoint, args.device, args.threads
        )
        server = make_server(create_app(index, encoder, args.host), at)
        address, port = at.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"{len(index):,} pictures: http://{shown}:{port}")
        for warning in index.warnings():
            print(warning)
        if not ipaddress.ip_address(address).is_loopback:
            print("anyone who can reach this machine can search these pictures")
        print("Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    return 0
