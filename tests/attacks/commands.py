"""Attacks on the command lines: options, outputs, Ctrl-C, pipes."""

import errno
import importlib
import io
import json
import os
import shutil
import signal
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import torch

import eval as evaluation
import train
from miniclip import load
from miniclip.__main__ import main as miniclip_main
from miniclip.common import check_output, command, replacing
from miniclip.data.threads import in_order
from miniclip.training import checkpoint
from miniclip.weights import save_huggingface
from tests.attacks import attack, table
from tests.attacks.training import CHECKPOINT, evaluate, played, released
from tests.shared import WRITTEN


@attack(code=130, says="^tool: stopped by Ctrl-C$")
def ctrl_c(folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    command("tool")(lambda argv: signal.raise_signal(signal.SIGINT))()


@attack(code=130, says="^tool: stopped by Ctrl-C$")
def ctrl_c_while_a_class_is_made(folder):
    class Descriptor:
        def __set_name__(self, owner, name):
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command("tool")(lambda argv: type("Made", (), {"by": Descriptor()}))()


@attack(code=130, says="^tool: stopped by Ctrl-C$")
def ctrl_c_while_torch_saves(folder):
    class Interrupted(io.BytesIO):
        def write(self, data):
            signal.raise_signal(signal.SIGINT)

    def save(argv):
        with replacing("x.pt"):
            torch.save(torch.zeros(9), Interrupted())

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command("tool")(save)()


@attack(says="is not a file")
def a_device_as_output_is_not_replaced_by_a_file(folder):
    os.mkfifo("out.json")
    with replacing("out.json"):
        pass


def too_large(array):
    command("tool")(lambda argv: array(1 << 50))()


@attack(says="^tool: error: the system lets this process start no more threads")
def no_more_threads(folder):
    start, most = threading._start_new_thread, iter("ab")

    def limited(*how):
        if not next(most, None):
            raise RuntimeError("can't start new thread")  # what it raises at ulimit -u
        return start(*how)

    threading._start_new_thread = limited
    command("tool")(lambda argv: [*in_order(len, ["a"], 3)])()


ARRAYS = {"python": (bytearray,), "numpy": (np.empty,), "torch": (torch.empty,)}
FULL_MEMORY = "^tool: error: memory is full; free some of it"
table({k: (*v, FULL_MEMORY) for k, v in ARRAYS.items()}, too_large, "an_array_of_{}_too_large")


@attack(code=0)
def a_disk_without_modes_that_cannot_flush_a_folder(folder):
    def cannot(*arguments):
        raise OSError(errno.EINVAL, "Invalid argument")

    flush = os.fsync
    os.fsync = lambda file: cannot() if stat.S_ISDIR(os.fstat(file).st_mode) else flush(file)
    shutil.copymode = cannot
    for text in (b"first", b"second"):
        with replacing("out.json") as file:
            file.write(text)
        assert Path("out.json").read_bytes() == text


@attack(says="^tool: error: Too many open files$")
def too_many_open_files(folder):
    def many(argv):
        raise OSError(errno.EMFILE, "Too many open files")

    command("tool")(many)()


@attack(code=0)
def a_link_as_output_is_followed_and_nothing_else_is_deleted(folder):
    strangers = [".out.json.1.tmp", ".miniclip-1-x.tmp", "a.tmp", ".miniclip-1-0123abce.tmp"]
    for name in ["real.json", *strangers, ".miniclip-1-0123abcd.tmp"]:
        folder.joinpath(name).write_text("before")
    for old in [".miniclip-1-0123abcd.tmp", *strangers[:3]]:
        os.utime(old, (0, 0))
    os.symlink("real.json", "out.json")
    with replacing("out.json") as file:
        file.write(b"after")
    assert os.path.islink("out.json") and (folder / "real.json").read_text() == "after"
    left = sorted(os.listdir())
    assert left == sorted(["out.json", "real.json", *strangers]), left


@attack(code=0)
def writers_in_one_folder_do_not_delete_each_others_files(folder):
    with replacing("a"), replacing("b"):
        check_output("c")
    assert sorted(os.listdir()) == ["a", "b"]


@attack(code=0)
def an_output_that_only_its_owner_may_read_stays_so(folder):
    (folder / "key").write_text("mine")
    os.chmod("key", 0o600)
    with replacing("key") as file:
        file.write(b"new")
    assert os.stat("key").st_mode & 0o777 == 0o600


@attack(code=0)
def standard_streams_that_are_closed(folder):
    sys.stdout = sys.stderr = None
    command("tool")(lambda argv: print("x"))()


@attack()
def standard_streams_that_are_closed_and_no_command(folder):
    sys.stdout = None
    miniclip_main(["foo"])


@attack(says="mine.csv exists, and miniclip did not write it")
def an_output_that_is_somebody_elses(folder):
    (folder / "mine.csv").write_text("mine")
    check_output("mine.csv", ours=lambda path: False, overwrite=True)
    assert (folder / "mine.csv").read_text() == "mine"
    check_output("mine.csv", ours=lambda path: False)


EVAL = ("--checkpoint", "x")
IMPOSSIBLE = {  # name: (what is said, module, arguments)
    "seed": ("at most 9.22", "train", "--seed", str(10**20)),
    "threads": ("at most 1,024", "train", "--threads", str(2**31)),
    "epochs": ("at most", "train", "--epochs", "1e308"),
    "steps": ("at most", "train", "--steps", "9" * 400),
    "workers": ("at most 512", "train", "--workers", "10000"),
    "crop": ("at least 0.01", "train", "--crop", "1e-320"),
    "vocabulary": ("at most 1.04", "train", "--vocab-size", str(2**21)),
    "empty_model": ("no model is called", "train", "--plan", "--model", ""),
    "empty_gpu": ("no GPU is called ''", "train", "--plan", "--data-pairs", "9", "--gpu", ""),
    "empty_out": ("not empty", "train", "--out", ""),
    "nul": ("must be a path", "train", "--data", "a\0b"),
    "meta": ("not available", "train", "--device", "meta"),
    "eval_threads": ("at most 1,024", "eval", *EVAL, "--threads", str(2**31)),
    "eval_k": ("at most 500", "eval", *EVAL, "-k", "5000"),
    "line_break": (r"at a\\nb", "eval", "--checkpoint", "a\nb"),
    "plan_minutes": ("cannot be planned", "train", "--plan", "--minutes", "3"),
    "plan_data": ("not found; expected a csv file", "train", "--plan", "--data", "none.csv"),
    "gpu_without_plan": ("add --plan", "train", "--gpu", "h100"),
    "search_and_task": ("exclude each other", "eval", *EVAL, "--search", "x", "--task", "probe"),
    "overwrite_alone": ("--overwrite is for --save and", "eval", *EVAL, "--overwrite"),
    "report_arch": (
        r"\Apython -m kernels.report: error",
        "kernels.report.__main__",
        "--arch",
        "75",
    ),
    "report_interpreted": ("unset it", "kernels.report.__main__", "--plan"),
    "report_dim": ("must be 1 to 2048", "kernels.report.__main__", "--dim", "4096"),
    "init_dashes": ("--init needs a value, and -- is none", "train", "--init=--"),
    "classes_dashes": ("--classes needs a value, and -- is none", "eval", "--classes=--"),
    "data_twice": ("--data is given twice", "train", "--data", "a.csv", "--data=b.csv"),
    "templates_twice": ("--templates is given twice", "eval", "--templ=a", "--templates", "b"),
    "both_towers": ("--freeze is given twice", "train", "--freeze", "image", "--freeze", "text"),
    "both_logs": ("--log is given twice", "train", "--log=wandb", "--log", "tensorboard"),
    "two_texts": ("--search is given twice", "eval", "--search", "a cup", "--search", "a dog"),
    "two_alphas": ("--alpha is given twice", "eval", "--alpha", "0.2", "--alpha", "0.5"),
    "cost_data_pairs": ("of at least 2", "miniclip.cost.__main__", "--data-pairs", "1"),
    "bench_sizes": ("of at least 1", "kernels.bench.__main__", "--sizes", "0"),
    "a_table_of_nothing": (
        "the following arguments are required: file",
        "lessons.studies.make_table",
    ),
    "a_table_that_is_cut": (
        "/dev/null is not Unicode's emoji-test.txt: it does not end with #EOF",
        "lessons.studies.make_table",
        "/dev/null",
    ),
    "pack_to_s3": (
        "out: must be a path on this machine, and not the address s3://bucket/out",
        "miniclip.data.__main__",
        "pack",
        "p.csv",
        "s3://bucket/out",
    ),
    "pack_late": (
        "pack must be the first word",
        "miniclip.data.__main__",
        "--columns",
        "image,caption",
        "pack",
        "p.csv",
    ),
    "sample_x": ("unrecognized arguments: --x", "lessons.studies.make_sample", "--x"),
    "ladder_x": ("unrecognized arguments: --x", "lessons.studies.loss_ladder", "--x"),
    "report_sizes": ("to 10", "kernels.report.__main__", "--sizes", "9" * 400),
}
COMPILING = {  # the same for the command that compiles, outside of Triton's interpreter
    "arch": ("--plan needs --arch 90 or 80", "--plan", "--arch", "86", "120"),
    "sizes_of_a_check": ("--sizes has no effect on --check", "--check", "--sizes", "512"),
}


def called(module, *arguments):
    importlib.import_module(module).main([*arguments])


table(
    {name: (*line, says) for name, (says, *line) in IMPOSSIBLE.items()},
    called,
    "an_option_that_cannot_be_{}",
)


def report(interpreted, *arguments):
    """The command `miniclip report` under a value of TRITON_INTERPRET."""
    os.environ["TRITON_INTERPRET"] = interpreted
    miniclip_main(["report", *arguments])


table({name: ("0", *line, says) for name, (says, *line) in COMPILING.items()}, report, "report_{}")
VALUES = {value: (value, "--plan", "unset it") for value in ("1", "True", "yes", "ON", "y")}
table(VALUES, report, "report_interpreted_by_{}")


@attack(code=0, says=r"\AA100, N = 512, D = 64, bf16, ")
def a_report_plans_the_cards_and_the_dtypes_that_were_asked_for(folder):
    def inspect(job):
        assert job[1:] == (80, "bf16", 64), job
        work = dict(exp2=1, shuffles=1, instructions=1)
        return dict(epilogue=work, blocks_per_sm=1, warps=8, warps_differ=False)

    importlib.import_module("kernels.plan").inspect = inspect
    report("0", *"--plan --arch 80 --dtype bf16 --sizes 512 --dim 64".split())


def without_triton(module, *arguments):
    """Run a command where Triton is not installed, as on macOS and Windows."""
    for name in [name for name in sys.modules if name.startswith(("kernels.", "triton"))]:
        del sys.modules[name]
    sys.modules["triton"] = None
    called(module, *arguments)


LACKING = {
    "the_report": ("kernels.report.__main__", "needs Triton, which pip has for Linux only"),
    "the_benchmark_of_a_cpu": ("kernels.bench.__main__", "--sizes", "0", "of at least 1"),
}
table(LACKING, without_triton, "{}_without_triton")


@attack(says="a process that compiles was killed.*compile fewer kernels")
def a_process_that_compiles_is_killed(folder):
    module = importlib.import_module("kernels.report.__main__")
    module.inspect = killed
    report("0", *"--arch 80 --dtype fp16 --dim 16".split())


def killed(job):
    os.kill(os.getpid(), signal.SIGKILL)


@attack(says="report: error: cache/.*: Not a directory")
def a_cache_of_triton_that_is_a_file(folder):
    Path("cache").touch()
    os.environ["TRITON_CACHE_DIR"] = "cache"
    report("0", *"--plan --arch 80 --sizes 512 --dim 64".split())


def prints():
    command("tool")(lambda argv: print("x" * 100_000))()


def helps():
    train.main(["--help"])


def plans():
    train.plan_run, train.describe = (lambda config: None), (lambda cost: "a line\n" * 10_000)
    train.main(["--plan"])


def reports():
    importlib.import_module("kernels.report.__main__").main = lambda argv: print("x" * 100_000)
    miniclip_main(["report"])


def into(output, work):
    """Work that prints into an output that cannot take it: a full disk, or None, which nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(os.open(output, os.O_WRONLY) if output else writing, 1)
    work()


WORKS = {work.__name__: work for work in (prints, helps, plans, reports)}
NOBODY = {f"a_command_that_{name}_what_nobody_reads": (None, w, "^$") for name, w in WORKS.items()}
table(NOBODY, into, code=141)
FULL = "error: the output: No space left on device"
table({name: ("/dev/full", w, FULL) for name, w in WORKS.items()}, into, "a_full_disk_that_it_{}")


@attack(says="error: this folder: No such file")
def a_folder_that_was_deleted(folder):
    folder.rmdir()
    command("tool")(lambda argv: os.getcwd())()


LINES = {  # what is typed, and the command that it is for
    "search find": "search find",
    "search --x": "search",
    "data pack": "data pack",
    "data --x": "data",
    "cost --gpu": "cost",
    "bench loss --sizes": "bench loss",
    "weights --x": "weights",
    "report --dim": "report",
}


def typed(line, program="miniclip"):
    """Run the command, by the name as which it is installed or as `python -m` calls it."""
    sys.argv[0] = program
    miniclip_main(line.split())


NAMED = {
    f"miniclip_{name.replace(' ', '_')}": (line, rf"\Aminiclip {name}: error: ")
    for line, name in LINES.items()
}
SAYS = r"\Apython -m miniclip report: error: argument --arch"
MODULE = ("report --arch 75", "miniclip/__main__.py", SAYS)
table(NAMED | {"python_m_miniclip_names_what_was_typed": MODULE}, typed, "an_error_of_{}")


@attack(code=0, says="^EOF$")
def an_input_that_is_closed(folder):
    sys.stdin = None

    def ask(argv):
        try:
            input()
        except EOFError:
            print("EOF")

    command("tool")(ask)()


# --- what eval.py writes


def commands(name):
    """{section: the command that wrote it} of a results.json."""
    return json.loads(Path(name).read_text())["commands"]


@attack(
    code=0, says="other pairs or other pictures; its content is now in results.old0.json", slow=True
)
def results_about_other_labelled_pictures_are_kept_apart(folder):
    for images, place in (("A", "top"), ("B", "left")):
        for name in ("red", "blue"):
            os.makedirs(f"{images}/{name}")
            shutil.copy(WRITTEN / f"pictures/{name}_{place}.png", f"{images}/{name}/1.png")
        released("--images", images)
    released("--task", "retrieval", "--data", str(WRITTEN / "pairs.csv"))
    assert commands("a/results.old0.json")["zero_shot"].endswith(" A")
    now = commands("a/results.json")
    assert now["zero_shot"].endswith(" B") and "retrieval" in now, now


@attack(code=0, says="its content is now in results.old0.json", slow=True, seconds=60)
def averages_with_another_start_are_kept_apart(folder):
    shutil.copytree(WRITTEN, ".", dirs_exist_ok=True)
    for k in range(2):
        state = checkpoint.load(CHECKPOINT)
        state["model"]["logit_scale"] += k
        checkpoint.save(f"start{k}.pt", state)
        evaluate("--checkpoint", f"start{k}.pt", "--out", "a")
    assert "start0.pt" in commands("a/results.old0.json")["averages"]
    assert "start1.pt" in commands("a/results.json")["averages"]


@attack(code=0, says="runs/hub/eval_pairs/search.png")
def weights_in_the_folder_of_the_command(folder):
    model, tokenizer, _ = load(WRITTEN / CHECKPOINT)
    save_huggingface(model, "hub", tokenizer)
    os.chdir("hub")
    evaluation.search, data = print, str(WRITTEN / "pairs.csv")
    evaluation.main(["--checkpoint", ".", "--threads", "1", "--data", data, "--search", "cup"])


CLASSES = f"for k in 0 1; do mkdir -p classes/$k; cp {WRITTEN}/pictures/red_* classes/$k; done"
BY_NAMES = "released --images classes --classes names"
EDITED = """sed -i 's/"{0}": .*/"{0}": ["x"],/' run/results.json"""
DAMAGED = "is damaged, or was not written"
NUMBERED = "the class names one on each line and nothing else, not lines such as '{}'"
table(
    {
        f"class_names_with_numbers_{what}": (
            CLASSES,
            f"printf '{text}' > names",
            BY_NAMES,
            NUMBERED.format(text.rpartition(r"\n")[2]),
        )
        for what, text in (
            ("alone", r"0,cat\n1,dog"),
            ("below_a_header", r"k,name\n0,cat\n1,dog"),
            ("and_colons", r"0: cat\n1: dog"),
            ("and_spaces", r"0 cat\n1 dog"),
            ("of_wordnet", r"n02123045 cat\nn02084071 dog"),
            ("no_more_in_a_list_of_json", r'["cat",\n"dog"]'),
            ("no_more_in_lines_of_a_csv", r"cat,\ndog,"),
        )
    }
    | {
        f"results_whose_{key}_is_a_list": ("judged", EDITED.format(key), "judged", DAMAGED)
        for key in ("model", "pairs_digest")
    }
    | {
        "a_tilde_in_quotes_is_the_home_folder": (
            "set HOME=/home",
            "run --data '~/none.tar/x'",
            "/home/none.tar/x not found",
        )
    },
    played,
)
UNUSED = (
    CLASSES,
    r"printf 'cat\ndog\ncow\n' > names",
    BY_NAMES,
    r"class cow \(no picture has it\)",
)
table({"class_names_without_a_picture": UNUSED}, played, code=0)
