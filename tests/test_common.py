"""A user's mistake is one sentence and exit code 2; a bug shows its traceback. Options, devices."""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from operator import methodcaller
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import eval as eval_command
import train
from miniclip.benchmarks import towers
from miniclip.common import (
    Parser,
    UserError,
    checked,
    command,
    number,
    pick_device,
    replacing,
    replacing_all,
    shell_line,
)
from miniclip.data import __main__ as data
from miniclip.data.curation import curate
from miniclip.data.shards import pack
from tests.shared import must_refuse

# (the command, its arguments, a function that it calls first)
COMMANDS = {
    "train": (train, ["--out", "run"], "open_run"),
    "eval": (eval_command, ["--checkpoint", "none.pt"], "check"),
    "data": (data, [], "open_pairs"),
    "curate": (curate, ["pairs.csv", "out.csv"], "open_pairs"),
    "pack": (pack, ["pairs.csv", "out"], "open_pairs"),
    "bench": (towers, ["--models", "vit_mini"], "pick_device"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [UserError("the file is gone"), ValueError("too many values")])
def test_a_users_mistake_is_one_sentence_and_a_bug_shows_its_traceback(
    error, command, monkeypatch, tmp_path, capsys
):
    module, arguments, called = COMMANDS[command]

    def fail(*args, **kw):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"{module.__name__}.{called}", fail)
    with pytest.raises((SystemExit, ValueError)) as stopped:
        module.main(arguments)
    if isinstance(error, UserError):
        assert stopped.value.code == 2
        assert capsys.readouterr().err.strip().endswith("error: the file is gone")
    else:
        assert stopped.value is error


def test_a_command_returns_what_main_does_and_prints_nothing_for_an_empty_sentence(capsys):
    @command("tool")
    def main(argv=None):
        """The tool."""
        if argv:
            raise UserError(argv[0])
        return 3

    assert main() == 3 and main.__doc__ == "The tool."
    for sentence, printed in (("no file", "tool: error: no file\n"), ("", "")):
        with pytest.raises(SystemExit) as stopped:
            main([sentence])
        assert stopped.value.code == 2 and capsys.readouterr().err == printed


# --- arguments from Python, options, devices, files


@checked
def asked(
    count: int, rows: Iterable[str], text: str = "", file: str | Path | None = None, *, free=None
):
    return count


def test_the_words_of_a_command_are_a_list():
    must_refuse("a list of words", Parser("x").parse_args, "--steps 3")


# one value of each type, with the names of the parameters that it fits
VALUES = [
    (3, {"count", "free"}),
    (np.int64(3), {"count", "free"}),
    (True, {"free"}),
    (3.0, {"free"}),
    ("a", {"text", "file", "free"}),
    (Path("a"), {"file", "free"}),
    (os.DirEntry, {"free"}),
    (["a"], {"rows", "free"}),
    (None, {"file", "free"}),
]


@pytest.mark.parametrize("name", ["count", "rows", "text", "file", "free"])
@pytest.mark.parametrize("value, fits", VALUES)
def test_an_argument_of_another_type_than_its_annotation_is_named(name, value, fits):
    arguments = dict(count=3, rows=[]) | {name: value}
    if name in fits:
        assert (asked(**arguments), type(asked(**arguments))) == (3, int)
    else:
        kind = "int" if isinstance(value, np.integer) else type(value).__name__
        must_refuse(f"^{name} must be of type .*, not {kind}$", asked, **arguments)


@checked
def measured(most: float):
    return most


def test_a_tensor_of_one_number_arrives_as_that_number():
    for kind in (torch.int8, torch.float16):  # whose sums would wrap around, or be rounded
        most = measured(torch.tensor(3, dtype=kind))
        assert most == 3 and type(most) in (int, float)


def test_a_compiled_model_arrives_compiled():
    compiled = torch.compile(torch.nn.Linear(1, 1))

    @checked
    def given(model: torch.nn.Linear, other: torch.nn.Module | None = None):
        return model is compiled and other in (None, compiled)

    assert given(compiled) and given(compiled, compiled) and given(model=compiled, other=compiled)


def test_a_missing_argument_is_pythons_error():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'rows'"):
        asked(3)


@pytest.mark.parametrize(
    "kind, bounds, good, bad, wanted",
    [
        (int, {}, ["-7", "0", "3"], ["1.5", "x", ""], "a whole number of at least -1e+15"),
        (int, dict(low=1), ["1", "2"], ["0", "-1", "1.0"], "a whole number of at least 1"),
        (float, dict(low=0), ["0", "0.5"], ["-0.1", "nan", "-inf"], "a number of at least 0"),
        (float, dict(low=1e-9), ["1e-9", "2"], ["0", "-1", "nan"], "a number of at least 1e-09"),
        (float, {}, ["-1e9", "0", "1e9"], ["nan", "-inf", "-"], "a number of at least -1e+15"),
        (int, dict(low=1, high=64), ["64"], ["65", "9" * 400], "a whole number of at least 1"),
        (float, dict(low=0), ["1e15"], ["1.1e15", "inf"], "a number of at least 0"),
    ],
)
def test_a_number_is_finite_and_within_its_bounds(kind, bounds, good, bad, wanted):
    parse = number(kind, **bounds)
    assert [parse(text) for text in good] == [kind(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError) as error:
            parse(text)
        assert f"must be {wanted} and at most" in str(error.value)
        assert repr(text[:40]) in str(error.value)


def test_auto_is_a_cuda_card_or_the_cpu_and_other_devices_are_tried(monkeypatch):
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
        assert pick_device("auto") == torch.device(device)
    assert pick_device("cpu") == torch.device("cpu")
    for name in ("cuda:99", "no device", "meta"):
        must_refuse(f"^the device {name} is not available here; try", pick_device, name)


def test_files_that_belong_together_are_replaced_in_their_order_or_not_at_all(
    tmp_path, monkeypatch
):
    paths, replaced, replace = [tmp_path / name for name in "abc"], [], os.replace
    monkeypatch.setattr(os, "replace", lambda new, old: replaced.append(old) or replace(new, old))
    (tmp_path / "shared").write_text("shared")  # as in the hub's cache
    paths[1].symlink_to("shared")
    with replacing_all({path: methodcaller("write", path.name.encode()) for path in paths}):
        assert not replaced
    assert (tmp_path / "shared").read_text() == "shared" and not paths[1].is_symlink()
    (tmp_path / "shared").unlink()
    assert replaced == paths and [path.read_text() for path in paths] == [*"abc"]
    broken = {paths[0]: lambda file: file.write(b"new"), paths[1]: lambda file: 1 / 0}
    with pytest.raises(ZeroDivisionError), replacing_all(broken):
        pass
    assert sorted(tmp_path.iterdir()) == paths and paths[0].read_text() == "a"


def test_what_went_wrong_while_a_file_is_written_is_said_as_it_was(tmp_path):
    with pytest.raises(OSError, match="^half of it came$"), replacing(tmp_path / "a"):
        raise OSError("half of it came")


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="a shell's quoting")
@given(st.lists(st.binary(min_size=1).filter(lambda word: 0 not in word), min_size=1, max_size=9))
def test_a_shell_reads_the_printed_words(words):
    line = shell_line(map(os.fsdecode, words))
    assert "\n" not in line
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}".encode()], capture_output=True)
    assert read.stdout.split(b"\0")[:-1] == words


def test_two_that_replace_the_same_files_at_once_do_not_mix_them(tmp_path, monkeypatch):
    paths, replace = [tmp_path / name for name in "abc"], os.replace
    monkeypatch.setattr(os, "replace", lambda *names: time.sleep(0.02) or replace(*names))

    def write(who):
        with replacing_all({path: methodcaller("write", who.encode()) for path in paths}):
            pass

    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert [*pool.map(write, "xyz")] == [None] * 3
    assert len({path.read_text() for path in paths}) == 1


@pytest.mark.parametrize("several", [False, True])
def test_a_file_that_somebody_else_has_written_meanwhile_stays(tmp_path, several):
    path, new = tmp_path / "out", lambda file: path.write_text("theirs")
    both = replacing_all({tmp_path / "first": new, path: new}, overwrite=False)
    writing = both if several else replacing(path, overwrite=False)
    with pytest.raises(UserError, match="exists; choose another name"), writing as file:
        path.unlink() if several else new(file)  # the block of save_huggingface deletes a file
    assert path.read_text() == "theirs" and [*tmp_path.iterdir()] == [path]
