"""Attacks on the command lines: options, outputs, Ctrl-C, pipes."""

import os
import signal

from miniclip.common import check_output, command, replacing
from tests.attacks import attack


@attack(code=130, says="^tool: stopped by Ctrl-C$")
def ctrl_c(folder):
    command("tool")(lambda argv: signal.raise_signal(signal.SIGINT))()


@attack(code=141, says="^$")
def what_reads_the_output_has_ended(folder):
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)
    command("tool")(lambda argv: print("x" * 100_000))()


@attack(says="^tool: error: the output: No space left on device$")
def the_disk_of_the_output_is_full(folder):
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    command("tool")(lambda argv: print("a line"))()


@attack(says="is no file")
def a_device_as_output_is_not_replaced_by_a_file(folder):
    os.mkfifo("out.json")
    with replacing("out.json"):
        pass


@attack(code=0)
def a_link_as_output_is_followed_and_nothing_else_is_deleted(folder):
    strangers = [".out.json.1.tmp", ".miniclip-1-x.tmp", "a.tmp"]
    for name in ["real.json", *strangers, ".miniclip-1-0123abcd.tmp"]:
        folder.joinpath(name).write_text("before")
    os.symlink("real.json", "out.json")
    with replacing("out.json") as file:
        file.write(b"after")
    assert os.path.islink("out.json") and (folder / "real.json").read_text() == "after"
    left = sorted(os.listdir())
    assert left == sorted(["out.json", "real.json", *strangers]), left


@attack(says="mine.csv exists, and miniclip did not write it")
def an_output_that_is_somebody_elses(folder):
    (folder / "mine.csv").write_text("mine")
    check_output("mine.csv", ours=lambda path: False, overwrite=True)
    assert (folder / "mine.csv").read_text() == "mine"
    check_output("mine.csv", ours=lambda path: False)
