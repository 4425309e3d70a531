"""A user's mistake is one sentence and exit code 2; a bug shows its traceback."""

import pytest

import eval as eval_command
import train
from miniclip.benchmarks import towers
from miniclip.common import UserError, command
from miniclip.data import __main__ as data
from miniclip.data.curation import balance
from miniclip.data.labelled import open_labelled
from miniclip.data.shards import pack
from miniclip.training import checkpoint

# (the command, its arguments, a function that it calls first)
COMMANDS = {
    "train": (train, ["--out", "run"], "open_source"),
    "eval": (eval_command, ["--checkpoint", "none.pt"], "files.read"),
    "data": (data, [], "open_source"),
    "curate": (balance, ["pairs.csv", "out.csv"], "open_source"),
    "pack": (pack, ["pairs.csv", "out"], "open_source"),
    "bench": (towers, ["--models", "vit_mini"], "pick_device"),
}


def raising(error):
    def fail(*args, **kw):
        raise error

    return fail


def replace(monkeypatch, module, name, function):
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    monkeypatch.setattr(module, last, function)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(command, monkeypatch, tmp_path, capsys):
    module, arguments, called = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    replace(monkeypatch, module, called, raising(UserError("the file is gone; bring it back")))
    with pytest.raises(SystemExit) as stopped:
        module.main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.strip().endswith("error: the file is gone; bring it back")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_bug_shows_its_traceback_although_it_is_a_value_error(command, monkeypatch, tmp_path):
    module, arguments, called = COMMANDS[command]
    monkeypatch.chdir(tmp_path)
    replace(monkeypatch, module, called, raising(ValueError("too many values to unpack")))
    with pytest.raises(ValueError, match="too many values to unpack"):
        module.main(arguments)


@pytest.mark.parametrize("missing", [checkpoint.load, open_labelled])
def test_a_path_that_is_not_there_is_the_users_mistake(missing, tmp_path):
    with pytest.raises(UserError):
        missing(tmp_path / "nothing.pt")


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
