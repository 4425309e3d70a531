"""The real commands, started as a user starts them, and then stopped, cut off or misused. Slow."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from tests.shared import ROOT, WRITTEN

PATIENCE_S = 120  # for a busy machine
TRAIN = f"{ROOT / 'train.py'} --data pairs.csv --model vit_mini --batch-size 8 --threads 1"
ENDLESS = f"{TRAIN} --steps 1000000 --log-every 1 --save-every 5 --out run"
SEARCH = "-m miniclip.search"
MODEL = "--checkpoint checkpoint.pt"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="signals, pipes and /dev/full"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """24 pairs, and apart from them a small model."""
    shutil.copytree(WRITTEN / "pictures", tmp_path / "pictures")
    shutil.copy(WRITTEN / "pairs.csv", tmp_path)
    shutil.copy(WRITTEN / "run/checkpoint.pt", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def start(command):
    """A python command in a process group of its own, which prints into the file "output"."""
    with open("output", "wb") as output:
        return subprocess.Popen(
            [sys.executable, *command.split()],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def output():
    return Path("output").read_text(errors="replace")


def wait_for(text):
    """Wait until the command has printed a text."""
    until = time.monotonic() + PATIENCE_S
    while text not in output():
        assert time.monotonic() < until, f"it never prints {text!r}: {output()}"
        time.sleep(0.05)


def shell(command):
    """The exit code and all output of a line for bash, where `python` is this one."""
    line = f'set -o pipefail; python() {{ {sys.executable} "$@"; }}; {command}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout + done.stderr


INDEX = f"python {SEARCH} index pictures {MODEL}"
EVAL = f"{ROOT / 'eval.py'} {MODEL} --data pairs.csv --out report"
SERVE = f"{SEARCH} serve pictures --port 0"


@pytest.mark.parametrize(
    "first, command, until, name, codes, words",
    [
        *(
            (
                "true",
                f"{ENDLESS} --workers {workers}",
                "step 00007",
                name,
                (128 + getattr(signal, name),),
                ("saved; go on with", "--resume", "again"),
            )
            for name in ("SIGINT", "SIGTERM", "SIGHUP")
            for workers in (0, 1)
        ),
        ("true", EVAL, "retrieval", "SIGINT", (0, 130), ()),
        (INDEX, SERVE, "http://", "SIGINT", (0, 130), ()),
    ],
)
def test_a_signal_ends_a_command_with_its_code(folder, first, command, until, name, codes, words):
    assert shell(first)[0] == 0
    process = start(command)
    wait_for(until)
    os.killpg(process.pid, getattr(signal, name))  # as a terminal does
    assert process.wait(PATIENCE_S) in codes, output()
    assert "Traceback" not in output() and all(word in output() for word in words), output()


ENDLESS_CLASSES = """
import torch
from miniclip.search import serve

def classifier_weights(*_):
    print("classifies", flush=True)
    while True:
        torch.ones(999, 999) @ torch.ones(999, 999)

serve.classifier_weights = classifier_weights
serve.main()
"""


def test_ctrl_c_ends_a_page_that_still_computes(folder):
    """The server waits 5 s for the answer. Then torch would abort the end of Python."""
    assert shell(INDEX)[0] == 0
    Path("endless.py").write_text(ENDLESS_CLASSES)
    process = start("endless.py pictures --port 0")
    wait_for("Ctrl-C ends it")
    asked = re.search(r"http://\S+", output())[0] + "/classify?classes=cat,dog"
    picture = next(Path("pictures").glob("*.png")).read_bytes()

    def ask():
        with contextlib.suppress(OSError):
            urllib.request.urlopen(asked, picture)

    threading.Thread(target=ask).start()
    wait_for("classifies")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, output()


@pytest.mark.parametrize(
    "command",
    [
        ENDLESS,
        f"{ROOT / 'eval.py'} {MODEL}",
        f"{SEARCH} index pictures {MODEL}",
        f"-c __import__('miniclip.__main__').__main__.main() search index pictures {MODEL}",
    ],
)
def test_ctrl_c_during_the_imports_prints_no_traceback(folder, command):
    process = start(f"-X importtime {command}")
    wait_for("torch._utils_internal")  # torch's own imports have only begun
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == -signal.SIGINT, output()
    assert "Traceback" not in output()


def test_a_killed_rank_ends_the_others_with_a_sentence(folder):
    process = start(f"-m torch.distributed.run --nproc-per-node 2 {ENDLESS} --device cpu")
    wait_for("step 00003")
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    rank = int(Path(children).read_text().split()[1])
    os.kill(rank, signal.SIGKILL)
    assert process.wait(PATIENCE_S) != 0
    ours = output().partition("torch/distributed")[0]
    assert "train.py: error:" in output() or "Traceback" not in ours, output()


BENCH = "-m kernels.bench --device cpu --sizes 2048 --rounds 99999"
LOADER, REPORT = "-m miniclip bench loader --rounds 1", "-m miniclip report --arch 90"


@pytest.mark.parametrize(
    "command, name, code",
    [
        (BENCH, "SIGTERM", -signal.SIGTERM),
        (BENCH, "SIGKILL", -signal.SIGKILL),
        (REPORT, "SIGINT", 130),
        (REPORT, "SIGTERM", -signal.SIGTERM),
        (REPORT.replace("miniclip ", "kernels."), "SIGINT", 130),
        (LOADER, "SIGTERM", 128 + signal.SIGTERM),
        (LOADER, "SIGHUP", 128 + signal.SIGHUP),
    ],
)
def test_the_processes_and_shards_of_a_command_end_with_it(
    folder, monkeypatch, command, name, code
):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)  # under which nothing compiles
    monkeypatch.setenv("TRITON_CACHE_DIR", str(folder / "cache"))  # nor if it is cached
    monkeypatch.setenv("TMPDIR", str(folder))
    process = start(command)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    # of the loss's benchmark, one process is Python's own; the loader's has none
    while len(children.read_text().split()) < 2 and not [*folder.glob("*/*.tar")]:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(getattr(signal, name))
    assert process.wait(PATIENCE_S) == code and not [*folder.glob("*/*.tar")], output()
    until = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_find_into_pipes_and_full_disks(folder):
    assert shell(INDEX)[0] == 0
    find = f"python {SEARCH} find 'left red' pictures -k 24"
    for line, wanted in ((f"{find} | true", (0, 141)), (f"{find} > /dev/full", (2,))):
        code, said = shell(line)
        assert code in wanted and "Traceback" not in said and "ignored" not in said, (line, said)


def test_names_that_the_terminal_cannot_show(folder):
    os.rename("pictures/red_left.png", "pictures/\u732b\u26f0.png")
    for command in (f"index pictures {MODEL}", "find 'left red' pictures -k 24"):
        code, said = shell(f"PYTHONIOENCODING=cp1252 python {SEARCH} {command}")
        assert code == 0 and "Traceback" not in said, said
