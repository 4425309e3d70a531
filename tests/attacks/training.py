"""Attacks on training and its evaluation: stopping, folders of runs, changed data, edited files."""

import concurrent.futures
import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import eval as evaluation
import train
from miniclip import load
from miniclip.common import given
from miniclip.data import open_pairs
from miniclip.data.loader import with_unique_names
from miniclip.distributed import process_group
from miniclip.evaluation.report.writer import ABOUT, write_results
from miniclip.training import checkpoint
from miniclip.training.config import Config
from miniclip.training.freeze import freeze
from miniclip.training.monitor import Monitor
from miniclip.weights import save_huggingface
from tests import runs
from tests.attacks import attack, session, table
from tests.shared import WRITTEN

REPORT = train.report
CHECKPOINT = "run/checkpoint.pt"


def arguments(*more, steps=2):
    usual = {"--data": "pairs.csv", "--out": "run", "--batch-size": 4, "--steps": steps}
    own = [word for pair in usual.items() if pair[0] not in more for word in pair]
    return [*own, *"--model vit_mini --threads 1".split(), *more]


def run(*more, steps=2, report=lambda *args: None):
    """A new run in the folder run, without the report at its end."""
    for name in ("pairs.csv", "pictures"):
        if not os.path.exists(name):
            os.symlink(WRITTEN / name, name)
    train.report = report
    return train.main(arguments(*more, steps=steps))


def resume(*more):
    """Go on with the run that was stopped."""
    if not os.path.exists("run"):
        shutil.copytree(WRITTEN / "run", "run")
    if not os.path.exists("pairs.csv"):
        shutil.copytree(WRITTEN / "pictures", "pictures")
        shutil.copy(WRITTEN / "pairs.csv", "pairs.csv")
    train.report = lambda *args: None
    return train.main(["--out", "run", "--resume", "--threads", "1", *more])


def at_loss(number, *what):
    """While the loss is computed for the `number`th time: call these functions, or send these signals."""

    def act():
        for each in what:
            each() if callable(each) else os.kill(os.getpid(), each)
            time.sleep(0.2)  # the thread that reads signals

    runs.at_loss(pytest.MonkeyPatch(), number, act)


# --- stopping


@attack(code=130, says="again to quit")
def a_second_ctrl_c_quits_at_once_and_the_checkpoint_is_whole(folder):
    def whole():
        assert checkpoint.load(CHECKPOINT)["step"] == 2

    at_loss(3, signal.SIGINT, whole, signal.SIGINT, lambda: time.sleep(60))
    run("--save-every", 1, steps=50)


@attack(code="killed by signal 2")
def ctrl_c_while_a_rank_waits_for_the_others(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= dict(RANK="0", LOCAL_RANK="0", WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -INT {os.getpid()}"])
    process_group.start("cpu")


NOTEBOOKS = {
    "gradients": (torch.set_grad_enabled, False, "gradients are switched off in this process"),
    "a_dtype": (torch.set_default_dtype, torch.float64, "call torch.set_default_dtype"),
    "a_device": (torch.set_default_device, "meta", "call torch.set_default_device"),
    "autocast": (
        lambda on: torch.autocast("cpu", enabled=on).__enter__(),
        True,
        "leave torch.auto",
    ),
}


def set_before(setting, value):
    setting(value)
    run()


table(NOTEBOOKS, set_before, "a_run_in_a_notebook_that_has_set_{}")


@attack(code=130)
def ctrl_c_twice_while_nobody_reads_the_output(folder):
    process_group.print0 = lambda *_, **how: time.sleep(60)
    with process_group.noted_signals():
        while True:  # the second one ends this
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.1)


@attack(code=0)
def a_hang_up_under_nohup_is_ignored(folder):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    at_loss(1, signal.SIGHUP)
    return run()


@attack(says="was moved, deleted or replaced")
def a_folder_that_is_moved_while_a_run_writes_into_it(folder):
    at_loss(3, lambda: time.sleep(0.5), lambda: os.rename("run", "moved"))
    try:
        run("--save-every", 1, steps=50)
    finally:
        assert checkpoint.load("moved/checkpoint.pt")["step"] == 2 and not os.path.exists("run")


@attack(says="was moved, deleted or replaced")
def a_run_that_takes_the_place_of_a_folder_that_is_moved(folder):
    def another():
        os.rename("run", "moved")
        os.mkdir("run")
        Path("run", checkpoint.LOCK).touch()

    at_loss(3, lambda: time.sleep(0.5), another)
    try:
        run("--save-every", 1, steps=50)
    finally:
        assert os.listdir("run") == [checkpoint.LOCK]


@attack(code=0)
def a_run_in_another_thread(folder):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return pool.submit(run).result()


def broken_at_the_second_line(broken):
    """Run until a line is written after `broken` was called in the second step; assert it is saved."""
    at_loss(2, broken)
    try:
        run("--log-every", 1, steps=50)
    finally:
        assert checkpoint.load(CHECKPOINT)["step"] == 2


@attack(code=141)
def nobody_reads_the_output_of_training_any_more(folder):
    def closed():
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    broken_at_the_second_line(closed)


@attack(says="error: .*No space left on device$")
def the_disk_of_the_log_is_full(folder):
    def full():
        os.remove("run/log.jsonl")
        os.symlink("/dev/full", "run/log.jsonl")

    broken_at_the_second_line(full)


@attack(says="a loading process was killed.*--resume", seconds=30)
def a_loading_process_is_killed(folder):
    def kill():
        [worker, *_] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)

    at_loss(2, kill)
    run("--workers", 1, steps=500)


@attack(code=0, says="torchrun --nproc-per-node 4 train.py --out 'a b' --data=-x")
def the_advice_under_torchrun_is_a_command_of_torchrun(folder):
    process_group.dist_info = lambda group=None: (0, 8)
    os.environ["LOCAL_WORLD_SIZE"] = "4"
    words = *given("--out", "a b"), *given("--data", "-x")
    print(process_group.launched("train.py", *words))


# --- outputs and folders


@attack(says="another run is writing to run")
def two_runs_in_one_folder(folder):
    at_loss(2, lambda: train.main(arguments()))
    run()


@attack(says="results.json was not written by a run")
def a_file_that_the_user_writes_into_the_folder_meanwhile(folder):
    report, mine = train.report, Path("run/results.json")
    at_loss(2, lambda: mine.write_text("mine"))
    try:
        run(report=report)
    finally:
        assert mine.read_text() == "mine" and checkpoint.load(CHECKPOINT)["step"] == 2


@attack(
    code=0,
    says="no picture of heldout can be read, so it is not evaluated",
    seconds=30,
)
def pictures_that_are_gone_before_the_report(folder):
    report = train.report

    def later(*about):
        os.remove("pictures")
        report(*about)

    return run(report=later)


@attack(code=0)
def a_killed_run_leaves_no_lock_behind(folder):
    if (child := os.fork()) == 0:
        at_loss(2, signal.SIGKILL)
        run(steps=50)
    os.waitpid(child, 0)
    assert os.path.exists("run/log.jsonl") and not os.path.exists(CHECKPOINT)
    return run("--resume")


@attack(code=0)
def a_link_as_checkpoint_stays_a_link(folder):
    os.mkdir("run")
    shutil.copy(WRITTEN / CHECKPOINT, "elsewhere.pt")
    os.symlink("../elsewhere.pt", CHECKPOINT)
    assert resume() == 0
    assert os.path.islink(CHECKPOINT) and checkpoint.load("elsewhere.pt")["step"] == 4


# --- resuming


@attack(code=0)
def a_shard_that_is_rewritten_with_the_same_layout(folder):
    found = []
    for text in ("one dog", "two cat"):
        Path("a.txt").write_text(text)
        Image.new("RGB", (9, 9)).save("a.png")
        with tarfile.open("a.tar", "w") as tar:
            tar.add("a.png"), tar.add("a.txt")
        os.utime("a.tar", ns=(len(found), len(found)))
        found.append(open_pairs("a.tar").digest)
    assert found[0] != found[1]


@attack(code=0, says="[0-9]")
def a_log_that_is_damaged_in_many_ways(folder):
    os.mkdir("run")
    shutil.copy(WRITTEN / CHECKPOINT, CHECKPOINT)
    wrong = [b"", b"\xff\xfe", b"[]", b"7", b"{}", b'{"step": "x"}', b'{"step": 1, "loss": "x"}']
    wrong += [b'{"step": -1}', b'{"step": 1, "lr": 1' + b"0" * 400 + b"}", b"[" * 100_000, b"null"]
    wrong += [b'{"step": 1, "batch_size": 0}', b'{"step": true}']
    wrong += [b'{"step": 1, "heldout_loss": "low"}']
    Path("run/log.jsonl").write_bytes(b"\n".join(wrong) + b'\n{"step": 3}\n{"step": ')
    assert resume() == 0
    *kept, third, last, _ = (
        Path("run/log.jsonl").read_bytes().split(b"\n")[:-1]
    )  # held-out pairs last
    assert kept == wrong and json.loads(third)["loss"] and json.loads(last)["step"] == 4
    config = train.Config.parse(["--out", "run", "--objective", "contrastive"], "", "")
    train.draw_curves(config, "curves.png")


def an_edited_checkpoint(changes):
    """The run goes on from a checkpoint that was changed: {key: value, or a function of the old}."""
    state = checkpoint.load(WRITTEN / CHECKPOINT)
    for key, value in changes.items():
        state[key] = value(state[key]) if callable(value) else value
    checkpoint.save(Path(CHECKPOINT), state)
    resume()


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


def moments(change, name="exp_avg"):
    """A change of every moment of the optimizer."""

    def of(optimizer):
        for own in optimizer["state"].values():
            own[name] = change(own[name])
        return optimizer

    return of


def setting(**changes):
    def of(optimizer):
        for group in optimizer["param_groups"]:
            group |= changes
        return optimizer

    return of


EDITED = {
    "negative_step": dict(step=-1),
    "step_of_text": dict(step="2"),
    "no_time": dict(seconds=float("nan")),
    "steps_of_text": dict(options=lambda o: o | {"steps": "4"}),
    "seed_of_text": dict(options=lambda o: o | {"seed": "0"}),
    "negative_batch": dict(options=lambda o: o | {"batch_size": -4}),
    "data_of_numbers": dict(options=lambda o: o | {"data": 7}),
    "list_as_choice": dict(options=lambda o: o | {"augment": []}),
    "no_options": dict(options=[]),
    "no_beta2": dict(options=lambda o: o | {"beta2": "x"}),
    "beta2_changed": dict(options=lambda o: o | {"beta2": 0.5}),
    "optimizer_of_text": dict(optimizer="x"),
    "no_groups": dict(optimizer=without("param_groups")),
    "weights_of_16_bits": dict(model=lambda m: {k: v.half() for k, v in m.items()}),
    "moments_of_another_shape": dict(optimizer=moments(lambda x: x.flatten()[:1])),
    "moments_not_finite": dict(optimizer=moments(lambda x: x / 0)),
    "negative_second_moments": dict(optimizer=moments(lambda x: -x - 1, "exp_avg_sq")),
    "moments_of_later_steps": dict(optimizer=moments(lambda x: x + 9, "step")),
    "more_steps_than_the_run_has": dict(step=1000),
    "more_skipped_steps_than_steps": dict(skipped_steps=5),
    "seed_missing": dict(options=without("seed")),
    "maximizing": dict(optimizer=setting(maximize=True)),
    "weights_missing": dict(model=without("logit_scale")),
    "weights_of_another_shape": dict(model=lambda m: m | {"logit_scale": torch.zeros(3)}),
    "scaler_of_text": dict(scaler="x", options=lambda o: o | {"precision": "fp16"}),
    "nan_weights": dict(
        model=lambda m: m | {"token_embedding.weight": torch.full((514, 32), torch.nan)}
    ),
    "a_million_layers": dict(config=lambda c: c | {"text_layers": 10**6}),
    "negative_heads": dict(config=lambda c: c | {"vision_heads": -1}),
    "half_a_merge": dict(tokenizer=lambda t: t | {"merges": [[1]]}),
    "a_number_as_package": dict(packages={1: "2"}),
    "no_optimizer": dict(optimizer={}),
    "no_moments": dict(optimizer=lambda o: o | {"state": {}}),
    "a_number_as_state": dict(optimizer=lambda o: o | {"state": {0: 1}}),
    "rate_of_text": dict(options=lambda o: o | {"lr": "fast"}),
    "an_unknown_objective": dict(options=lambda o: o | {"objective": "x"}),
}
EDITED |= {
    f"{kind}_as_{part}": {part: x}
    for part in checkpoint.PARTS
    for kind, x in (("text", "x"), ("a_list", [1]))
}
table(
    {name: (changes, "") for name, changes in EDITED.items()},
    an_edited_checkpoint,
    "an_edited_checkpoint_with_{}",
)


@attack(code=0, says="(?s)best.pt.*resumed(?!.*best.pt)")
def a_log_that_is_lost_while_best_is_kept(folder):
    run("--eval-every", 1, steps=1)
    for name in ("best.pt", "checkpoint.pt"):
        state = checkpoint.load(f"run/{name}")
        if name == "best.pt":
            assert state.pop("heldout_loss") > 0
        state["options"]["steps"], state["heldout_loss"] = 2, 0.0
        checkpoint.save(f"run/{name}", state)
    os.remove("run/log.jsonl")
    return run("--resume", "--eval-every", 1)


@attack(code=0, says="(?s)stopped by SIGTERM.*the best so far, in best.pt")
def best_of_an_earlier_run_whose_checkpoint_is_gone(folder):
    run("--lr", 1e-6, "--eval-every", 1)
    os.remove(CHECKPOINT)
    at_loss(1, signal.SIGTERM)
    run("--eval-every", 2, steps=3)
    return resume("--eval-every", "1")


@attack(code=0)
def best_of_three_runs_in_one_folder(folder):
    kept = []
    for rate in (1e-6, 1e-5, 1e-4):
        run("--lr", rate, "--eval-every", 1)
        kept.append(Path("run/best.pt").read_bytes())
        os.remove(CHECKPOINT)
    earlier = [Path(f"run/earlier_best{k}.pt").read_bytes() for k in ("", "_2")]
    assert earlier == kept[:2]


# --- evaluation


def evaluate(*more):
    if not os.path.exists("run"):
        shutil.copytree(WRITTEN, ".", dirs_exist_ok=True)
    return evaluation.main(["--checkpoint", CHECKPOINT, "--threads", "1", *more])


def released(*more):
    """Classify pictures with a released model, whose context holds the usual templates."""
    task = [] if "--task" in more else ["--task", "zero_shot"]
    return evaluation.main([*"--checkpoint web --threads 1 --out a".split(), *task, *more])


@attack(code=0, says="left out 1: .*red_left")
def an_evaluation_without_options_in_the_checkpoint_and_with_a_picture_gone(folder):
    shutil.copytree(WRITTEN, ".", dirs_exist_ok=True)
    state = checkpoint.load(CHECKPOINT)
    del state["options"]
    checkpoint.save(CHECKPOINT, state)
    Path("pictures/red_left.png").unlink()
    evaluate("--data", "pairs.csv", "--search", "cup", "-k", "2")


@attack(code=0, says="results.old0.json")
def results_of_other_weights_are_not_mixed_with_these(folder):
    evaluate("--task", "overlap", "--out", "a")
    state = checkpoint.load(CHECKPOINT)
    state["model"]["logit_scale"] += 1
    checkpoint.save(CHECKPOINT, state)
    evaluate("--task", "retrieval", "--out", "a")
    evaluate("--task", "overlap", "--out", "a")
    results, old = (
        json.loads(Path(f"a/{n}.json").read_text()) for n in ("results", "results.old0")
    )
    assert "overlap" in old and "heldout" not in old and "heldout" in results
    assert {k: v.split()[-3] for k, v in results["commands"].items()} == dict(
        heldout="retrieval", retrieval="retrieval", overlap="overlap"
    )


@attack(code=0, says="about another model, other pairs or other pictures.*results.old2.json")
def results_of_pairs_of_pictures_or_of_a_start_that_are_others(folder):
    for key in ABOUT:
        for digest in ("before", "after"):
            write_results(folder, dict(command="", commands={}, model="m") | {key: digest})


@attack(code=0, says=r"\\x1b\[31mred")
def control_characters_in_captions_are_not_printed(folder):
    pairs = open_pairs(WRITTEN / "pairs.csv")
    pairs._captions = [("\x1b[31mred",)] * len(pairs)
    evaluation.open_data = lambda *args, **options: (pairs, True)
    evaluate("--search", "red", "-k", "2")


def judged(*more):
    """Evaluate a new run of two steps."""
    if not os.path.exists("run"):
        run()
    evaluation.main(["--checkpoint", CHECKPOINT, "--task", "retrieval", "--threads", "1", *more])
    results = {p: json.loads(p.read_text()) for p in Path("run").rglob("results.json")}
    return {p: {k: v for k, v in r.items() if k[:3] in ("all", "hel")} for p, r in results.items()}


@attack(code=0)
def the_pairs_of_the_run_under_another_spelling(folder):
    first, again = judged(), judged("--data", "./pairs.csv")
    assert first == again and "heldout" in first[Path("run/results.json")], (first, again)


@attack(code=130, says="stopped by SIGINT at step 2, saved; go on with")
def ctrl_c_while_the_last_checkpoint_is_written(folder):
    wait = checkpoint.Saver.wait

    def interrupted(saver):
        checkpoint.Saver.wait = wait
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)  # the thread that reads signals
        wait(saver)

    checkpoint.Saver.wait = interrupted
    return run()


@attack(code=0)
def a_frozen_tower_beside_a_fixed_temperature(folder):
    model = load("web")[0].train()
    model.logit_scale.requires_grad_(False)
    freeze(model, "image")
    assert not model.logit_scale.requires_grad


@attack(code=0)
def a_section_of_eval_py_in_the_results_of_a_run_that_is_given_again(folder):
    run(report=REPORT)
    results = Path("run/results.json")
    results.write_text(json.dumps(json.loads(results.read_text()) | {"probe": 1}, indent=2))
    train.main(["--out", "run", "--resume", "--threads", "1"])
    assert json.loads(results.read_text())["probe"] == 1


@attack(says="train.py: error: run holds log.jsonl of a run, but its checkpoint")
def a_start_that_fails_in_the_folder_of_a_run_whose_checkpoint_is_away(folder):
    run("--log-every", 1)
    os.rename(CHECKPOINT, "elsewhere.pt")
    with pytest.raises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
        train.main(["--data", "typo.csv", "--out", "run"])
    run("--resume")


@attack(says="memory is full; add --micro-batch")
def a_batch_that_does_not_fit_into_memory(folder):
    at_loss(1, lambda: torch.empty(1 << 60))
    run()


@attack(code=0)
def names_of_classes_as_captions_of_many_pairs(folder):
    with_unique_names(
        np.arange(100_000), 128, lambda i: (f"class {i % 10}",), np.random.default_rng(0)
    )


@attack(code=0)
def a_number_of_epochs_that_binary_fractions_miss(folder):
    config = Config.parse(["--epochs", "1.1", "--batch-size", "1"], "train.py", "")
    assert Monitor(config, 50, {}, None, None).steps == 55


# --- sessions


def early(*more):
    """An evaluation that must be refused before it computes anything."""
    evaluation.write_sections = None
    evaluate(*more)


def theirs(*more):
    """Evaluate weights that no run wrote."""
    model, tokenizer, _ = load(WRITTEN / CHECKPOINT)
    save_huggingface(model, "hub", tokenizer)
    before, evaluation.search = os.listdir("hub"), print
    code = evaluation.main(["--checkpoint", "hub", "--threads", "1", *more])
    assert os.listdir("hub") == before
    return code


VERBS = {
    "theirs": theirs,
    "run": run,
    "resume": resume,
    "evaluate": evaluate,
    "released": released,
    "early": early,
    "judged": judged,
    "evaluation": lambda *words: evaluation.main([*words]),
    "signal": lambda number, *names: at_loss(int(number), *(getattr(signal, n) for n in names)),
    "set": lambda variable: os.environ.update([variable.split("=")]),
}
REFUSED = {
    "measurements_of_no_pairs": ("there are fewer than two", "run --val-data none --eval-every 1"),
    "a_batch_of_one_pair": ("--batch-size 1 has no other pair to compare", "run --batch-size 1"),
    "a_pattern_that_is_not_in_quotes": (
        "unrecognized arguments: b.tar; put a pattern such as .* in quotes",
        "run --data a.tar b.tar",
    ),
    "a_single_pair": (
        "pairs.csv has one pair to train on, and no other to compare it with",
        f"cp {WRITTEN}/pictures/red_top.png 0.png",
        r"printf 'filepath,caption\n0.png,a word\n' > pairs.csv",
        "run",
    ),
    "an_empty_gpu_without_a_plan": ("only apply to a plan", "run --gpu ''"),
    "an_empty_name_of_a_column": (
        "has no column ''",
        "evaluate --data pairs.csv --caption-column ''",
    ),
    "a_test_on_pairs_that_the_weights_of_init_have_learned": (
        "(?s)2 of the pairs that are held out were learned.*every section was left out",
        "run --out first --val-data none",
        "run --init first/checkpoint.pt",
        f"evaluation --checkpoint {CHECKPOINT} --task retrieval",
    ),
    "a_test_of_an_average_on_pairs_that_one_of_its_models_has_learned": (
        "(?s)2 of the pairs that are held out were learned.*every section was left out",
        "run --out zero",
        "run --out first --init zero/checkpoint.pt --val-data none",
        "run --init zero/checkpoint.pt",
        f"evaluation --checkpoint {CHECKPOINT} --checkpoint first/checkpoint.pt --save average.pt",
        "evaluation --checkpoint average.pt --data pairs.csv --task retrieval",
    ),
    "a_folder_of_a_run_that_cannot_be": ("cannot be written", "run --out /dev/null/run"),
    "a_run_whose_folder_is_a_file": ("a part of this path is a file", "run --out pairs.csv"),
    "a_search_longer_than_the_context": ("make it shorter", f"evaluate --search '{'x ' * 20}'"),
    "an_evaluation_under_torchrun": ("without torchrun", "set WORLD_SIZE=2", "evaluate"),
    "ranks_that_are_started_by_hand": (
        "WORLD_SIZE in the environment is 2, but LOCAL_RANK is not set",
        "set WORLD_SIZE=2",
        "run",
    ),
    "a_rank_above_the_number_of_ranks": (
        "RANK in the environment is not below WORLD_SIZE",
        "set LOCAL_RANK=0",
        "set RANK=5",
        "run",
    ),
    "a_pipe_as_the_log": ("log.jsonl is not a file", "mkdir run; mkfifo run/log.jsonl", "run"),
    "a_checkpoint_on_a_disk_that_is_not_mounted": (
        "checkpoint.pt is a link that leads to no file",
        "mkdir run; ln -s unmounted/checkpoint.pt run",
        "resume",
    ),
    "a_folder_as_checkpoint": (
        "checkpoint.pt is not a file",
        "mkdir -p run/checkpoint.pt",
        "resume",
    ),
    "the_checkpoint_of_another_run_in_the_place_of_best": (
        "best.pt exists, and miniclip did not write it, or it was changed",
        f"mkdir run; cp {WRITTEN}/run/checkpoint.pt run/best.pt",
        "run",
    ),
    "a_number_of_ranks_that_is_none_in_the_environment": (
        "LOCAL_WORLD_SIZE is 'abc'.*unset it",
        "set LOCAL_RANK=0",
        "set LOCAL_WORLD_SIZE=abc",
        "resume",
    ),
    "a_rank_that_another_tool_left_in_the_environment": (
        "the ranks cannot be connected: .*; start with torchrun, or unset LOCAL_RANK",
        "set LOCAL_RANK=0",
        "run",
    ),
    "a_csv_that_has_lost_a_row": (
        "has 23 pairs, but 24 when run was started",
        "run",
        "sed -i '$d' pairs.csv",
        "run --resume",
    ),
    "other_captions_in_the_same_number_of_pairs": (
        "has other names, captions or shards, .* than when run was started",
        "run",
        "sed -i 's/,left red/,left ruby/' pairs.csv",
        "run --resume",
    ),
    "an_evaluation_far_from_the_pairs": (
        "the model was trained on pairs.csv, which is not here; add --data",
        "run",
        "mv run other; rm pairs.csv",
        "evaluation --checkpoint other/checkpoint.pt --task retrieval",
    ),
    "a_column_split_of_folds": (
        "no pair to train on: no row of its column split says train",
        f"cp {WRITTEN}/pictures/red_top.png 0.png",
        r"printf 'filepath,caption,split\n0.png,a word,3\n' > pairs.csv",
        "run",
    ),
    "damaged_results_before_the_work": (
        "a/results.json is damaged, or was not written by this command",
        """mkdir a; echo '{"command": "' > a/results.json""",
        "early --out a",
    ),
    "a_report_of_somebody_else_before_the_work": (
        "a/report.md was not written by this command",
        "mkdir a; echo mine > a/report.md",
        "early --out a",
    ),
    "a_report_where_nothing_can_be_written": ("cannot be written", "early --out /proc/report"),
    "an_average_where_nothing_can_be_written": (
        "cannot be written",
        f"early --checkpoint {CHECKPOINT} --save /proc/a.pt",
    ),
    "an_average_over_a_file_of_somebody_else": (
        "mine.pt exists; choose another name",
        "echo mine > mine.pt",
        f"keeps mine.pt evaluate --checkpoint {CHECKPOINT} --save mine.pt",
    ),
    "a_shift_that_would_replace_home": (
        "--shift must be NAME=FOLDER, .* not .home",
        f"mkdir classes; cp -r {WRITTEN}/pictures classes/a; cp -r classes/a classes/b",
        "evaluate --images classes --shift home=classes",
    ),
    "a_pipe_as_a_list_of_names": (
        "names cannot be read: not a file",
        "mkfifo names",
        "evaluate --images pictures --classes names",
    ),
    "results_whose_commands_were_edited": (
        "is damaged, or was not written by this command",
        "judged",
        """sed -i 's/"commands": {/"commands": [1], "x": {/' run/results.json""",
        "judged",
    ),
    "a_search_where_no_picture_can_be_read": (
        "no picture can be read, so none can be found",
        f"cp -r {WRITTEN}/. .; truncate -s -30 pictures/*.png",
        "evaluate --search cup",
    ),
    "a_lock_that_links_to_a_file_of_the_user": (
        "run/.miniclip-lock is a link; delete it",
        "echo mine > mine; mkdir run; ln -s ../mine run/.miniclip-lock",
        "keeps mine run",
    ),
}
GONE = "run holds best.pt and log.jsonl of a run, but its checkpoint.pt is missing"
REFUSED |= {
    f"a_run_whose_checkpoint_is_gone_is_{what}": (
        GONE,
        "run --eval-every 1",
        "rm run/checkpoint.pt",
        f"set TORCHELASTIC_RESTART_COUNT={restarts}",
        f"keeps run/best.pt keeps run/log.jsonl run {more}",
    )
    for what, restarts, more in (("resumed", 0, "--resume"), ("restarted_by_torchrun", 1, ""))
}
PICTURE = f"cp {WRITTEN}/pictures/red_top.png run"
PLOT = r"printf '\211PNG\r\n\032\n....tEXtSoftware\0Matplotlib' > run"  # as savefig begins
REFUSED |= {  # a file under a name that a run would write, and whether the run was stopped
    f"{what}_of_the_user": (
        f"{file} was not written by a run",
        f"cp -r {WRITTEN}/run ." if stopped else "mkdir run",
        f"{made}/{file}",
        f"keeps run/{file} {'resume' if stopped else 'run'}",
    )
    for what, file, stopped, made in (
        ("results", "results.json", False, "echo mine > run"),
        ("log", "log.jsonl", False, """echo '{"step": 1, "loss": 2.0}' > run"""),
        ("curves_in_a_stopped_run", "curves.png", True, PICTURE),
        ("linked_figure", "retrieval.png", True, f"{PICTURE}/../mine; ln -s ../mine run"),
        ("results_in_a_stopped_run", "results.json", True, """echo '{"notes": "mine"}' > run"""),
        ("results_of_a_command", "results.json", True, """echo '{"command": "mine"}' > run"""),
        ("plot_in_a_stopped_run", "curves.png", True, PLOT),
    )
}
DONE = {
    "a_number_of_restarts_that_is_none_in_the_environment": (
        "",
        "set TORCHELASTIC_RESTART_COUNT=x",
        "resume",
    ),
    "a_report_about_weights_of_somebody_else": (
        "runs/hub/eval_pairs/search.png",
        f"cp -r {WRITTEN}/pictures {WRITTEN}/pairs.csv .",
        "theirs --data pairs.csv --search cup",
    ),
    "pairs_that_were_renamed_since_training": (
        "(?s)have changed since the model was trained.*trained on 22 of the 24 pairs of",
        "run",
        "mv pictures others; sed -i 's/pictures/others/' pairs.csv",
        f"evaluation --checkpoint {CHECKPOINT} --task retrieval",
    ),
    "a_caption_of_half_a_million_letters": (
        "step 00002/2",
        f"cp -r {WRITTEN}/pictures {WRITTEN}/pairs.csv .",
        "printf 'pictures/red_top.png,' >> pairs.csv",
        "head -c 1000000 /dev/urandom | base64 -w0 | tr -dc a-z >> pairs.csv; echo >> pairs.csv",
        "run",
    ),
    "a_folder_with_a_space_in_the_command_of_a_report": (
        r"--task retrieval --out 'a b'\"",
        "evaluate --task retrieval --out 'a b'",
        "cat 'a b/results.json'",
    ),
    "an_average_of_runs_whose_pairs_have_moved": (
        "(?s)heldout: text to image(?!.*all: text)",
        "run",
        f"evaluate --checkpoint {CHECKPOINT} --save average.pt",
        "rm pairs.csv",
        f"evaluation --checkpoint average.pt --data {WRITTEN}/pairs.csv --task retrieval",
    ),
    "pairs_that_the_weights_before_a_run_learned_from": (
        "(?s)trained on 22 of the 24 pairs of pairs.csv; the others are tested.*others: text .*  2 ",
        "run --out first",
        "sed 's/,left/,port/' pairs.csv > others.csv",
        "run --init first/checkpoint.pt --data others.csv",
        f"evaluation --checkpoint {CHECKPOINT} --data pairs.csv --task retrieval",
    ),
    "pairs_that_moved_since_the_run_began": (
        "step 00004/4",
        f"cp -r {WRITTEN} elsewhere; mv elsewhere/run run",
        "resume --data elsewhere/pairs.csv",
    ),
    "a_list_of_pairs_that_moved_since_the_run_began": (
        "2 pairs to train on .* resumed at step 2",
        "echo pair,name,query > list.csv; echo 1,pictures/red_top.png,red >> list.csv",
        "echo 2,pictures/red_whole.png,red >> list.csv",
        "run --keep list.csv",
        "mkdir elsewhere; mv list.csv elsewhere",
        "run --keep elsewhere/list.csv --resume",
    ),
    "labelled_pictures_in_a_tar": (
        "report.md, its figures",
        f"mkdir t; for k in 0 1; do cp {WRITTEN}/pictures/red_top.png t/$k.png; echo $k > t/$k.cls; done",
        "tar cf s.tar -C t .",
        "released --images s.tar",
    ),
    "dollars_in_templates_and_names_are_no_mathematics": (
        "",
        r"printf '{} for $x^\n{} at $y_$\n' > templates.txt; mkdir -p 'classes/$a^' 'classes/$b_$'",
        rf'for k in classes/*; do cp {WRITTEN}/pictures/red_*.png "$k"; done',
        "released --images classes --templates templates.txt",
    ),
}
STOPPED = {
    "ctrl_c_says_that_it_saves_and_how_to_go_on": (
        "again to quit(.|\n)*stopped by SIGINT at step [23], saved; go on with",
        "signal 2 SIGINT",
        "run --steps 50",
    ),
    "ctrl_c_in_the_last_step": (
        "stopped by SIGINT at step 2, saved",
        "signal 2 SIGINT",
        "run",
    ),
}
CLOSED = {
    "a_terminal_that_closes_sends_its_signal_twice": (
        "stopped by SIGHUP at step 1, saved",
        "signal 1 SIGHUP SIGHUP",
        "run",
    )
}


def played(*lines):
    return session(VERBS, lines)


for cases, code in ((REFUSED, 2), (DONE, 0), (STOPPED, 130), (CLOSED, 129)):
    table({name: (*lines, says) for name, (says, *lines) in cases.items()}, played, code=code)
