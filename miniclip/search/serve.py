"""A page that searches an index in a browser: python -m miniclip.search serve

The page's first tab finds pictures by words, by a picture, or by both. Its second tab classifies a
picture by classes that the user types (zero-shot: CLIP, section 3.1), once with the bare names and
once with each name inside a template. In both tabs the picture comes from the index, or is a file
that the user sends.
By default only this machine can open the page. A request names a picture by its number, never by a
path. The server sends the picture's pixels, never the bytes of its file, and it does not follow a
link that leads out of the folder of the pictures. The page is for people whom you trust. Left out:
passwords, HTTPS, and limits for clients that send endless requests.
"""

import contextlib
import importlib
import io
import ipaddress
import logging
import os
import re
import secrets
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qsl

import torch

from miniclip.bpe.cleaning import clean, has_words
from miniclip.common import UserError, checked, command, in_words, number, refuse, refusing
from miniclip.data.dataset import BadPicture, fingerprint, printable
from miniclip.search.database import FILE, OLD, Index, followed
from miniclip.search.embed import Encoder
from miniclip.search.find import (
    SEARCH,
    THUMBNAIL,
    nearest,
    open_search,
    pasteable,
    picture_features,
    query,
    thumbnail,
)
from miniclip.zeroshot import classifier_weights

MAX_UPLOAD = 32 << 20  # bytes
MOST_WAITING = 8  # sent files that are decoded or wait for it
THREADS = 4 * MOST_WAITING  # requests answered at once, those that wait included
IDLE_SECONDS = 20  # a connection that sends nothing for so long is closed
MAX_CLASSES, MAX_ANSWERS = 1000, 240
# characters of the classes and the template: each takes up to 12 bytes of a request's 256 KiB head
MOST_TEXT = 20_000
OPTIONS = SEARCH | {
    "--host": dict(default="127.0.0.1", help="address to listen at (127.0.0.1: only this machine)"),
    "--port": dict(
        type=number(int, low=0, high=65535),
        default=8000,
        help="port to listen at (default: 8000; 0: any free port)",
    ),
}
SENT = {  # how a picture is sent: (most pixels on a side, format, options of PIL's save)
    "picture": (THUMBNAIL, "PNG", dict(compress_level=1)),
    "original": (65_500, "JPEG", dict(quality=95)),  # the most that libjpeg writes
}
HEADERS = {
    # nothing from another site, and no other site may show the page or its pictures
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; form-action 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",  # after a new start a number means another picture
}


@checked
def create_app(index: Index, encoder: Encoder, host: str = "127.0.0.1"):
    """The page of an index, as a Flask application. host: a name that requests may use for this
    machine, besides localhost and IP addresses. Raises UserError if the index was made with another
    model than the encoder's."""
    import flask
    from werkzeug.exceptions import HTTPException

    index.must_be_of(encoder)
    app = flask.Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_UPLOAD
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    g = flask.g
    decoding = threading.Lock()  # one at a time: a picture may take 1 GB until it is small
    sent_files = threading.Semaphore(MOST_WAITING)  # so that they never take all threads
    classifying = threading.Lock()  # one at a time: a thousand sentences may take as much
    reading = threading.Lock()  # held by the request that reads a new index
    # The index, and the number of its first picture. When the index is read again, or the command
    # is started again, pictures get new numbers. So a number that a browser has kept never means
    # another picture.
    current = index, secrets.randbelow(10**11)
    # Another site can make its own name lead to this machine (DNS rebinding). So the only names
    # that a request may use are localhost and --host. Flask's own TRUSTED_HOSTS is a list of names,
    # but with --host 0.0.0.0 any IP address may be right.
    ours = rf"(localhost|[0-9.]+|\[[0-9a-f:.]+\]|{re.escape(host)})(:[0-9]+)?"

    def row_of(text):
        """The row of the picture with this number. Ends the request if there is none."""
        row = int(text) - g.first if re.fullmatch("[0-9]{1,12}", text) else -1
        if 0 <= row < len(g.index):
            return row
        flask.abort(
            404,
            f"there is no picture {printable(text, 20)} in the index now; leave it out, and "
            "search again",
        )

    def listed(row):
        """What the page says about a picture."""
        return {
            "row": g.first + row,
            "name": printable(g.index.paths[row], 200),
            "path": pasteable(
                os.path.abspath(g.index.path(row)) if g.is_here else g.index.paths[row]
            ),
        }

    def parameters(*names):
        """The parameters of the request, {name: value}. Raises UserError if they are not in UTF-8,
        or if there are others than `names`."""
        with refusing("the parameters must be in UTF-8, for example caf%C3%A9 for café"):
            pairs = parse_qsl(flask.request.query_string.decode(), True, errors="strict")
        refuse(
            {
                f"there is no parameter {printable(name, 20)}; there are {', '.join(names) or 'none'}": (
                    name not in names
                )
                for name, _ in pairs
            }
            | {"give each parameter only once": len(dict(pairs)) < len(pairs)}
        )
        return dict(pairs)

    def chosen(number):
        """The picture that a request is about: (its row or None, its unit features (E,) or None).

        number: the picture's number in the index. Without a number, the picture is the file in the
        body of the request, and it has no row. Without a file there is no picture.
        """
        is_sent = flask.request.content_length  # waitress sets it for a body in chunks, too
        refuse(
            {
                "a form was sent; send the file itself as the body (curl --data-binary @FILE)": (
                    flask.request.mimetype == "multipart/form-data"
                ),
                "give the number of a picture or a file, not both": number and is_sent,
            }
        )
        if number:
            row = row_of(number)
            return row, torch.from_numpy(g.index.features[row]).float()
        if not is_sent:
            return None, None
        if not sent_files.acquire(blocking=False):
            flask.abort(503, "other files are waiting to be decoded; send yours again later")
        try:
            with decoding:  # a form would be kept in a file
                return None, picture_features(
                    encoder, io.BytesIO(flask.request.get_data(cache=False)), "this file"
                )
        finally:
            sent_files.release()

    @app.before_request
    def check_origin():
        """Refuse requests that a page of another site makes."""
        asked = flask.request
        _, _, origin = asked.headers.get("Origin", f"//{asked.host}").rpartition("//")
        # Here the browser says where the request comes from, and a page cannot change it. The Host
        # says less, because a reverse proxy may have replaced it.
        site = asked.headers.get("Sec-Fetch-Site")
        elsewhere = (site == "cross-site" and asked.path != "/") or (
            site != "same-origin" and origin != asked.host
        )
        named = re.fullmatch(ours, asked.host, re.IGNORECASE)
        if elsewhere or not named:
            flask.abort(
                403,
                f"request refused: a page at another address made it; open {asked.host} itself"
                if named
                else "this page answers only to localhost, to IP addresses and to the name given "
                "with --host",
            )

    @app.before_request
    def look_for_a_new_index():
        """Read the index again if a file of it has changed. Other requests use the one before
        meanwhile."""
        nonlocal current
        # only browsers on this machine, and those that ask through a proxy on it, get whole paths
        g.is_here = False
        with contextlib.suppress(ValueError):  # behind a socket in a folder there is no address
            g.is_here = ipaddress.ip_address(flask.request.remote_addr).is_loopback
        if flask.request.path != "/" and reading.acquire(blocking=False):
            try:
                old, first = current
                if old.place and old.stamp != [
                    fingerprint(old.place / name) for name in (FILE, OLD)
                ]:
                    with in_words(
                        "the index cannot be read; open this page on its own machine to see why",
                        *[] if g.is_here else [UserError],
                    ):
                        new = Index.open(old.place)
                    refuse(
                        {
                            "the index is now another folder's or another model's; stop the "
                            "command and start it again": (new.root, new.digest)
                            != (old.root, old.digest)
                        }
                    )
                    current = new, first + len(old)
            finally:
                reading.release()
        g.index, g.first = current
        g.root = Path(os.path.realpath(g.index.root))  # a link may lead elsewhere by now

    @app.after_request
    def add_headers(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    @app.errorhandler(UserError)
    def say(error):
        code, sentence = getattr(error, "code", 400), getattr(error, "description", str(error))
        too_large = f"the file is too large; it may have at most {MAX_UPLOAD >> 20} MiB"
        return {"error": too_large if code == 413 else sentence}, code

    app.add_url_rule("/", view_func=lambda: page, endpoint="page")

    @app.get("/about")
    def about():
        parameters()
        return {
            "pictures": len(g.index),
            "folder": printable(g.root.name or g.root),
            "model": printable(os.path.basename(encoder.file)),
            "warnings": g.index.warnings(g.is_here),
            "max_upload": MAX_UPLOAD,
            "max_answers": MAX_ANSWERS,
            # 24 at most
            "sample": [listed(row) for row in range(0, len(g.index), -(-len(g.index) // 24))],
        }

    @app.get("/<any(picture, original):what>/<number>")
    def picture(what, number):
        parameters()
        (side, kind, how), row, file = SENT[what], row_of(number), io.BytesIO()
        path = Path(os.path.realpath(g.index.path(row)))
        try:
            refuse({"a link that leads out of the folder": g.root not in path.parents}, BadPicture)
            with decoding:
                thumbnail(path, side).save(file, kind, **how)
        except BadPicture as error:
            flask.abort(404, f"{printable(g.index.paths[row])} cannot be shown: {error}")
        return file.getvalue(), {"Content-Type": f"image/{kind.lower()}"}

    @app.route("/search", methods=["GET", "POST"])
    def search():
        asked = parameters("text", "like", "k")
        k = asked.get("k", "24")
        k = int(k) if re.fullmatch("[0-9]{1,3}", k) else 0
        refuse({f"k must be a whole number from 1 to {MAX_ANSWERS}": not 1 <= k <= MAX_ANSWERS})
        own, image = chosen(asked.get("like"))
        refuse({"the file is empty": flask.request.method == "POST" and image is None})
        cosines, rows = nearest(
            g.index.features, query(encoder, asked.get("text", ""), image), k + 1
        )
        found = [(row, c) for row, c in zip(rows.tolist(), cosines.tolist()) if row != own][:k]
        return {
            "found": [listed(row) | {"cosine": cosine} for row, cosine in found],
            "like": None if own is None else listed(own),
            "pictures": len(g.index),
            "warnings": g.index.warnings(g.is_here),
        }

    @app.post("/classify")
    def classify():
        asked = parameters("classes", "template", "row")
        typed, template = (
            re.split(r"[,，、،\t\n\v\f\r\x85\u2028\u2029]", asked.get("classes", "")),
            asked.get("template", "{}"),
        )
        # the tokenizer takes "Heart" and "heart" for the same name: one class, as first spelled
        spelled = {clean(name): name.strip() for name in reversed(typed)}
        names = [spelled[key] for key in dict.fromkeys(map(clean, typed)) if has_words(key)]
        refuse(
            {
                "the parameters belong in the address, as in /classify?classes=cat,dog": (
                    "classes" not in asked
                ),
                f"type from 2 to {MAX_CLASSES:,} classes, separated by commas; capital letters "
                "make no difference": not 2 <= len(names) <= MAX_CLASSES,
                "the template must hold {} once, where the name goes": template.count("{}") != 1,
                f"classes and template have more than {MOST_TEXT:,} characters; leave some out": (
                    len(asked.get("classes", "") + template) > MOST_TEXT
                ),
            }
        )
        _, image = chosen(asked.get("row"))
        refuse({"choose a picture first": image is None})
        # classifier_weights would cut the end of a template that does not fit into the context
        for name in names:  # one by one, because the first that is too long ends it
            encoder.tokenizer([template.replace("{}", name)], truncate=False)
        scale = encoder.model.logit_scale.exp().item()
        with classifying:
            bare, templated = (
                (scale * image @ classifier_weights(encoder.model, encoder.tokenizer, names, [t]))
                .softmax(0)
                .tolist()
                for t in ("{}", template)
            )
        return {"names": names, "bare": bare, "templated": templated, "scale": scale}

    return app


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a host and a port. port: 0 for any free port. Raises UserError if
    nothing can listen there."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    # TypeError: a name with a NUL; OverflowError: a port above 65,535
    except (OSError, UnicodeError, TypeError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (")[0].rstrip(".")
        raise UserError(
            f"the page cannot listen at {printable(host)}, port {port}: {reason}; "
            "choose others with --host and --port"
        ) from None


def make_server(app, at: socket.socket):
    """A waitress server that runs `app` on the socket `at`. A request that has arrived only in part
    occupies a connection, but no thread. An upload above 512 KiB is in a temporary file until the
    request is answered."""
    import waitress.channel
    import waitress.parser

    class Parser(waitress.parser.HTTPRequestParser):
        def parse_header(self, head):
            try:
                super().parse_header(head)
            except ValueError:  # a length of over 4,300 digits, or an address with one bracket
                raise waitress.parser.ParsingError(
                    "the request's length or address cannot be read"
                ) from None

    files = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 240  # that may be open
    # no warnings about a long queue, because a browser asks for many pictures at once
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server = waitress.create_server(
        app,
        sockets=[at],
        # above the limit of the page, so that the page's own sentence says what is too large
        max_request_body_size=2 * MAX_UPLOAD,
        # Above this size of an answer, a thread would wait until the client has read it. No answer
        # is so large: a client that does not read is idle, and its connection is closed.
        outbuf_high_watermark=1 << 40,
        threads=THREADS,
        # macOS lets a process open 256 files, sockets included; waitress would try in vain to
        # accept a connection that is one too many, and answer nobody meanwhile
        connection_limit=min(200, max(8, files - 40)),
        asyncore_use_poll=True,  # select has a limit of 1,024 files
        channel_timeout=IDLE_SECONDS,
        cleanup_interval=IDLE_SECONDS // 4,
    )
    server.channel_class = type(
        "Channel", (waitress.channel.HTTPChannel,), {"parser_class": Parser}
    )
    return server


@command(
    "python -m miniclip.search serve",
    "Search an index in a browser, and classify pictures by classes that you type.",
    OPTIONS,
)
def main(folder, index, checkpoint, device, threads, host, port):
    """The command: serve the page until Ctrl-C."""
    refuse({"--host is empty; give an address such as 127.0.0.1": not host})
    needs = (
        "the page needs flask and waitress: pip install -U 'miniclip[app]'; a file flask.py or "
        "waitress.py of your own must have another name"
    )
    with in_words(needs, ImportError, AttributeError):
        importlib.import_module("flask").Flask  # noqa: B018
        importlib.import_module("waitress").create_server  # noqa: B018
    # absolute, because the current folder may be deleted and restored while the page is served
    folder, index = (
        path and followed(os.path.join(os.getcwd(), path))
        for path in (folder or (None if index else "."), index)
    )
    with listen(host, port) as at:
        opened, encoder = open_search(folder, index, checkpoint, device, threads)
        server = make_server(create_app(opened, encoder, host), at)
        address, port = at.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"{len(opened):,} pictures: http://{shown}:{port}", *opened.warnings(), sep="\n")
        if not ipaddress.ip_address(address).is_loopback:
            print(
                "anyone who can reach this machine can search these pictures"
                + f": http://<IP of this machine>:{port}" * (address == "0.0.0.0")
                + f": http://[<IPv6 of this machine>]:{port}" * (address == "::")
            )
        print("Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # a second Ctrl-C does not wait
            server.run()  # until Ctrl-C
        if server.task_dispatcher.threads:  # torch computes there, and would abort Python's end
            sys.stdout.flush()
            os._exit(0)
