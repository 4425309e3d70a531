"""The real commands, started as a user starts them, and then stopped, cut off or misused. Slow."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from miniclip.training import checkpoint

ROOT = Path(__file__).parents[2]
WRITTEN = ROOT / "tests/written"
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


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_says_how_to_go_on_and_ends_with_its_code(folder, name):
    number = getattr(signal, name)
    process = start(ENDLESS)
    wait_for("step 00007")
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 128 + number, output()
    assert "Traceback" not in output() and "--resume" in output() and "again" in output()
    assert checkpoint.load("run/checkpoint.pt")["step"] >= 7


def test_a_second_ctrl_c_quits_and_the_checkpoint_before_stays_whole(folder):
    process = start(ENDLESS)
    wait_for("step 00007")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) in (130, -signal.SIGINT), output()
    assert "Traceback" not in output()
    assert checkpoint.load("run/checkpoint.pt")["step"] >= 5


@pytest.mark.parametrize(
    "command", [ENDLESS, f"{ROOT / 'eval.py'} {MODEL}", f"{SEARCH} index pictures {MODEL}"]
)
def test_ctrl_c_during_the_imports_prints_no_traceback(folder, command):
    process = start(command)
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) in (130, -signal.SIGINT), output()
    assert "Traceback" not in output()


def test_training_into_a_closed_pipe_saves_first(folder):
    code, said = shell(f"python {ENDLESS} | head -1")
    assert code == 141 and "Traceback" not in said, said
    assert checkpoint.load("run/checkpoint.pt")["step"] >= 1


def test_a_second_run_in_the_same_folder_is_refused(folder):
    process = start(ENDLESS)
    wait_for("step 00001")
    code, said = shell(f"python {ENDLESS} --resume")
    process.kill()
    process.wait()
    assert code == 2 and said.count("error:") == 1 and "Traceback" not in said, said


def test_a_killed_rank_ends_the_others_with_a_sentence(folder):
    process = start(f"-m torch.distributed.run --nproc-per-node 2 {ENDLESS} --device cpu")
    wait_for("step 00003")
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    rank = int(Path(children).read_text().split()[1])
    os.kill(rank, signal.SIGKILL)
    assert process.wait(PATIENCE_S) != 0
    ours = output().partition("torch/distributed")[0]
    assert "train.py: error:" in output() or "Traceback" not in ours, output()


def test_eval_ends_quietly_with_ctrl_c(folder):
    process = start(f"{ROOT / 'eval.py'} {MODEL} --data pairs.csv --out report")
    wait_for("retrieval")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) in (0, 130), output()
    assert "Traceback" not in output()


def test_find_into_pipes_and_full_disks(folder):
    code, said = shell(f"python {SEARCH} index pictures {MODEL}")
    assert code == 0, said
    find = f"python {SEARCH} find 'left red' pictures -k 24"
    for line, wanted in ((f"{find} | true", (0, 141)), (f"{find} > /dev/full", (2,))):
        code, said = shell(line)
        assert code in wanted and "Traceback" not in said and "ignored" not in said, (line, said)


def test_names_that_the_terminal_cannot_show(folder):
    os.rename("pictures/red_left.png", "pictures/\u732b\u26f0.png")
    for command in (f"index pictures {MODEL}", "find 'left red' pictures -k 24"):
        code, said = shell(f"PYTHONIOENCODING=cp1252 python {SEARCH} {command}")
        assert code == 0 and "Traceback" not in said, said


def test_curate_with_its_second_end_forgotten_changes_nothing(folder):
    before = Path("pairs.csv").read_bytes()
    code, said = shell("python -m miniclip.data curate pairs.csv")
    assert code == 2 and Path("pairs.csv").read_bytes() == before, said
    code, said = shell("python -m miniclip.data curate emoji pairs.csv")
    assert code == 2 and Path("pairs.csv").read_bytes() == before, said


def test_pack_does_not_replace_a_tar_of_the_user(folder):
    os.mkdir("tars")
    Path("tars/00000.tar").write_bytes(b"mine")
    code, said = shell("python -m miniclip.data pack pairs.csv tars")
    assert code == 2 and Path("tars/00000.tar").read_bytes() == b"mine", said


def test_a_stopped_server_ends_quietly(folder):
    code, said = shell(f"python {SEARCH} index pictures {MODEL}")
    assert code == 0, said
    process = start(f"{SEARCH} serve pictures --port 0")
    wait_for("http://")
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) in (0, 130), output()
    assert "Traceback" not in output()
