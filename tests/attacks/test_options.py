"""Options of every command, drawn from its own parser and filled with nasty values.

Each command line ends with code 0, or with one sentence and code 2; never with another exception.
"""

import argparse
import functools
import importlib
import os
import random
import shutil
from pathlib import Path
from unittest import mock

import pytest

from miniclip.training import monitor
from tests.attacks import Row, runner
from tests.shared import WRITTEN

NASTY = ["", " ", "0", "-1", "1", "2", "0.5", "1e308", "1e-320", "9" * 400, "nan", "inf", "-inf"]
NASTY += ["../x", "\0", "a\nb", "\x1b[31m", "$x^", "🦄", "{}", "{", "{0..99999999}.tar", "~", "cpu"]
NASTY += ["meta", "icons", "fifo", "folder", "text", "run", "/dev/null", "/dev/full", "a" * 5000]
CHECKPOINT = ["--checkpoint", "run/checkpoint.pt", "--threads", "1"]
TRAIN = "--data pairs.csv --model vit_mini --batch-size 4 --threads 1 --workers 0 --out new".split()
# the module: (how many command lines are tried, what each starts with, options that take too long)
COMMANDS = {
    "train": (150, [*TRAIN, "--steps", "1"], ["--compile", "--workers", "--steps"]),
    "miniclip.cost.__main__": (60, ["--data", "pairs.csv"], []),
    "eval": (80, CHECKPOINT, []),
    "miniclip.data.__main__": (60, [], []),
    "miniclip.data.shards.pack": (60, ["pairs.csv", "packed"], []),
    "miniclip.data.curation.curate": (60, ["pairs.csv", "kept.csv"], []),
    "miniclip.search.build": (60, ["pictures", *CHECKPOINT[:2]], []),
    "miniclip.search.find": (60, ["red", "pictures", *CHECKPOINT[:2]], []),
    "miniclip.search.embed": (60, ["pairs.csv", "features.npz", *CHECKPOINT[:2]], []),
    "miniclip.benchmarks.towers": (20, ["--models", "vit_mini", "--rounds", "1"], ["--rounds"]),
    "kernels.report.__main__": (60, [], []),
    "kernels.bench.__main__": (30, [], []),
}


def parser_of(main):
    """The parser that a command makes for itself."""
    parse = mock.patch.object(argparse.ArgumentParser, "parse_known_args", autospec=True)
    with parse as asked, pytest.raises(KeyError):
        asked.side_effect = KeyError
        main([])
    return asked.call_args.args[0]


def draw(parser, without, rng):
    """One or two options of a parser with values, as on a command line."""
    actions = [a for a in parser._actions if a.option_strings and a.dest != "help"]
    actions = [a for a in actions if not set(a.option_strings) & {*without, "-h"}]
    line = []
    for action in rng.sample(actions, min(len(actions), rng.choice((1, 1, 2)))):
        line.append(rng.choice(action.option_strings))
        if action.nargs != 0:
            line.append(rng.choice([*map(str, action.choices or ()), *NASTY]))
    return line


def called(module, line, folder):
    """A command in a folder with all that NASTY names; monitor.Monitor of two steps at most."""
    shutil.copytree(WRITTEN, folder, dirs_exist_ok=True)
    os.mkfifo("fifo")
    os.mkdir("folder")
    Path("text").write_text("{}\nhello\n")
    os.environ["MINICLIP_CACHE"] = "cache"
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return importlib.import_module(module).main(line)


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_line_ends_with_0_or_one_sentence(module, monkeypatch):
    real = monitor.Monitor.__init__

    def two_steps(self, args, *more):
        real(self, args, *more)
        self.steps = min(self.steps, 2)

    monkeypatch.setattr(monitor.Monitor, "__init__", two_steps)
    counted = dict(blocks_per_sm=1, warps=8, warps_differ=False)
    counted["epilogue"] = dict(instructions=1, exp2=1, shuffles=1)
    monkeypatch.setattr("kernels.report.__main__.compile_all", lambda *args: [])
    monkeypatch.setattr("kernels.report.__main__.broken_plan", lambda launches: [])
    monkeypatch.setattr("kernels.plan.inspect", lambda job: counted)
    monkeypatch.setattr("kernels.bench.__main__.bench_cpu", lambda *how: None)
    count, start, without = COMMANDS[module]
    parser, rng = parser_of(importlib.import_module(module).main), random.Random(module)
    for _ in range(count):
        line = [*start, *draw(parser, without, rng)]
        came = runner.run(Row(functools.partial(called, module, line), 0, "", 60, 4000, True))
        said = came["text"].splitlines()
        one = [text for text in said if "error: " in text] == said[-1:]
        assert came["code"] == 0 or came["code"] == 2 and one, (line, came)
