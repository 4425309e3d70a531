"""What tests of several rooms share: pairs to train on, a cache, a check that a command refuses."""

import signal

import pytest
import torch
from PIL import Image

COLOURS = ["red", "green", "blue", "yellow", "purple", "orange", "pink", "brown"]
SHAPES = {
    "top": (0, 0, 40, 20),
    "left": (0, 0, 20, 40),
    "whole": (0, 0, 40, 40),
    "corner": (0, 0, 20, 20),
    "middle": (10, 10, 30, 30),
}


@pytest.fixture(scope="session")
def pairs_csv(tmp_path_factory):
    """40 pictures: a coloured part of a white square, and what it is; in a folder per colour."""
    folder = tmp_path_factory.mktemp("pairs")
    lines = ["filepath,caption"]
    for colour in COLOURS:
        (folder / "pictures" / colour).mkdir(parents=True)
        for shape, box in SHAPES.items():
            picture = Image.new("RGB", (40, 40), "white")
            picture.paste(colour, box)
            picture.save(folder / f"pictures/{colour}/{shape}.png")
            lines.append(f"pictures/{colour}/{shape}.png,{shape} {colour}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    return folder / "pairs.csv"


@pytest.fixture
def refused(capsys):
    """refused(main, *arguments): the one sentence with which a command refuses them, and code 2."""

    def sentence(main, *arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        said = capsys.readouterr().err
        assert stop.value.code == 2 and said.count("\n") == 1 and "error: " in said, said
        return said

    return sentence


@pytest.fixture(name="cache")
def cache_folder(tmp_path_factory, monkeypatch):
    """A folder of its own for cached files."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MINICLIP_CACHE", str(folder))
    return folder


@pytest.fixture
def set_threads():
    """torch.set_num_threads, whose effect ends with the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def signals_and_threads_as_before(set_threads):
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)
