"""Attacks on training and its evaluation: stopping, folders of runs, changed data, edited files."""

import json
import os
import shutil
import signal
import tarfile
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import eval as evaluation
import train
from miniclip.common import given
from miniclip.data import open_pairs
from miniclip.distributed import process_group
from miniclip.training import checkpoint
from miniclip.training.curves import draw_curves
from tests import runs
from tests.attacks import attack, table

ROOT = Path(__file__).parents[2]
WRITTEN = ROOT / "tests/written"  # 24 pairs, and a run that was stopped after two of its four steps
CHECKPOINT = "run/checkpoint.pt"


def arguments(*more, steps=2):
    fixed = "--data pairs.csv --out run --model vit_mini --batch-size 4 --threads 1"
    return [*fixed.split(), "--steps", str(steps), *map(str, more)]


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


def at_loss(number, what):
    """While the loss is computed for the `number`th time: call `what`, or send a signal."""

    def act():
        what() if callable(what) else os.kill(os.getpid(), what)
        time.sleep(0.05)  # the thread that reads signals

    runs.at_loss(pytest.MonkeyPatch(), number, act)


# --- stopping


@attack(code=130, says="again to quit(.|\n)*stopped by SIGINT at step [23], saved; go on with")
def ctrl_c_says_that_it_saves_and_how_to_go_on(folder):
    at_loss(2, signal.SIGINT)
    return run(steps=50)


@attack(code=130, says="again to quit")
def a_second_ctrl_c_quits_at_once_and_the_checkpoint_is_whole(folder):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        assert checkpoint.load(CHECKPOINT)["step"] == 2
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    at_loss(3, twice)
    run("--save-every", 1, steps=50)


@attack(code=129, says="stopped by SIGHUP", slow=True)
def a_terminal_that_is_closed(folder):
    at_loss(2, signal.SIGHUP)
    return run(steps=50)


@attack(code=0)
def a_hang_up_under_nohup_is_ignored(folder):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    at_loss(1, signal.SIGHUP)
    return run()


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


@attack(says="a loading process was killed.*--resume", seconds=30, slow=True)
def a_loading_process_is_killed(folder):
    def kill():
        [worker, *_] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)

    at_loss(2, kill)
    run("--workers", 1, steps=500)


@attack(says="rank 0 has lost the connection to another rank")
def another_rank_is_killed(folder):
    process_group.dist_info = lambda group=None: (0, 2)
    with process_group.member("cpu"):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")


@attack(code=0, says="torchrun --nproc-per-node 4 --nnodes 2 train.py --out 'a b' --data=-x")
def the_advice_under_torchrun_is_a_command_of_torchrun(folder):
    process_group.dist_info = lambda group=None: (0, 8)
    os.environ["LOCAL_WORLD_SIZE"] = "4"
    words = *given("--out", "a b"), *given("--data", "-x")
    print(process_group.launched("train.py", *words))


# --- outputs and folders


@attack(says="cannot be written")
def a_folder_of_a_run_that_cannot_be(folder):
    run("--out", "/dev/null/run")


@attack(says="log.jsonl is no file")
def a_pipe_as_the_log(folder):
    os.mkdir("run")
    os.mkfifo("run/log.jsonl")
    run()


@attack(says="another run is writing to run")
def two_runs_in_one_folder(folder):
    at_loss(2, lambda: train.main(arguments()))
    run()


def a_file_of_the_user(name, content, go_on, link=False):
    """Under a name that a run would write, perhaps behind a link."""
    if go_on == resume:
        shutil.copytree(WRITTEN / "run", "run")
    mine = Path("mine" if link else f"run/{name}")
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(content)
    if link:
        os.symlink("../mine", f"run/{name}")
    try:
        go_on()
    finally:
        assert mine.read_bytes() == content


PICTURE = (WRITTEN / "pictures/red_top.png").read_bytes()
PLOT = b"\x89PNG\r\n\x1a\n....tEXtSoftware\0Matplotlib"  # as pyplot's savefig begins
OTHER_LOG = b'{"step": 1, "loss": 2.0}\n'
table(
    {
        "results": ("results.json", b"mine", run, "results.json"),
        "log": ("log.jsonl", OTHER_LOG, run, "log.jsonl"),
        "curves_in_a_stopped_run": ("curves.png", PICTURE, resume, "curves.png"),
        "linked_figure_in_a_stopped_run": ("retrieval.png", PICTURE, resume, True, "retrieval.png"),
        "results_in_a_stopped_run": ("results.json", b'{"notes": "mine"}', resume, "results.json"),
        "results_of_a_command": ("results.json", b'{"command": "mine"}', resume, "results.json"),
        "plot_in_a_stopped_run": ("curves.png", PLOT, resume, "curves.png"),
    },
    a_file_of_the_user,
    name="{}_of_the_user",
    says="{} was not written by a run",
)


@attack(says="results.json was not written by a run")
def a_file_that_the_user_writes_into_the_folder_meanwhile(folder):
    report, mine = train.report, Path("run/results.json")
    at_loss(2, lambda: mine.write_text("mine"))
    try:
        run(report=report)
    finally:
        assert mine.read_text() == "mine" and checkpoint.load(CHECKPOINT)["step"] == 2


@attack(says="checkpoint.pt is a link to a file that is gone")
def a_checkpoint_on_a_disk_that_is_not_mounted(folder):
    os.mkdir("run")
    os.symlink("unmounted/checkpoint.pt", CHECKPOINT)
    resume()


@attack(code=0)
def a_killed_run_leaves_no_lock_behind(folder):
    if (child := os.fork()) == 0:
        at_loss(2, signal.SIGKILL)
        run(steps=50)
    os.waitpid(child, 0)
    assert os.path.exists("run/log.jsonl") and not os.path.exists(CHECKPOINT)
    return run("--resume")


def a_run_whose_checkpoint_is_gone(restarts, *more):
    run("--eval-every", 1)
    os.remove(CHECKPOINT)
    before = {name: Path("run", name).read_bytes() for name in ("best.pt", "log.jsonl")}
    os.environ["TORCHELASTIC_RESTART_COUNT"] = restarts
    try:
        run(*more)
    finally:
        assert before == {name: Path("run", name).read_bytes() for name in before}


table(
    {"resumed": ("0", "--resume", ""), "restarted_by_torchrun": ("1", "")},
    a_run_whose_checkpoint_is_gone,
    "a_run_whose_checkpoint_is_gone_is_{}",
    says="run holds best.pt and log.jsonl of a run, but not its checkpoint.pt",
)


@attack(says="run/.miniclip-lock is a link; delete it")
def a_lock_that_links_to_a_file_of_the_user(folder):
    Path("mine").write_text("mine")
    os.mkdir("run")
    os.symlink("../mine", "run/.miniclip-lock")
    try:
        run()
    finally:
        assert Path("mine").read_text() == "mine"


@attack(code=0)
def a_link_as_checkpoint_stays_a_link(folder):
    os.mkdir("run")
    shutil.copy(WRITTEN / CHECKPOINT, "elsewhere.pt")
    os.symlink("../elsewhere.pt", CHECKPOINT)
    assert resume() == 0
    assert os.path.islink(CHECKPOINT) and checkpoint.load("elsewhere.pt")["step"] == 4


# --- resuming


@attack(says="--init run/checkpoint.pt to start there from these weights")
def a_longer_run_than_the_one_that_is_resumed(folder):
    resume("--steps", "8")


@attack(says="pairs.csv has other names, captions or shards than when run was started")
def other_captions_in_the_same_number_of_pairs(folder):
    run(steps=1)
    state = checkpoint.load(CHECKPOINT)
    checkpoint.save(CHECKPOINT, state | {"options": state["options"] | {"steps": 2}})
    text = Path("pairs.csv").read_text()
    os.remove("pairs.csv")
    Path("pairs.csv").write_text(text.replace(",left red", ",left ruby"))
    run("--resume")


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
    Path("run/log.jsonl").write_bytes(b"\n".join(wrong) + b'\n{"step": 3}\n{"step": ')
    assert resume() == 0
    *kept, third, last, _ = (
        Path("run/log.jsonl").read_bytes().split(b"\n")[:-1]
    )  # held-out pairs last
    assert kept == wrong and json.loads(third)["loss"] and json.loads(last)["step"] == 4
    draw_curves(Path("run/log.jsonl"), "curves.png")


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
}
table(
    {name: (changes, "") for name, changes in EDITED.items()},
    an_edited_checkpoint,
    name="an_edited_checkpoint_{}",
)


@attack(says="was started with --unique-names True, not with False")
def a_switch_that_is_turned_off_on_resumption(folder):
    at_loss(1, signal.SIGTERM)
    run("--unique-names", steps=9)
    resume("--no-unique-names")


@attack(says="was started with --data pairs.csv")
def the_embedded_pairs_for_a_run_on_others(folder):
    resume("--data", "emoji")


@attack(code=130, says="stopped by SIGINT at step 2, saved")
def ctrl_c_in_the_last_step(folder):
    at_loss(2, signal.SIGINT)
    return run()


@attack(says="LOCAL_WORLD_SIZE is 'abc'.*unset it")
def a_number_of_ranks_that_is_none_in_the_environment(folder):
    os.environ |= dict(LOCAL_RANK="0", LOCAL_WORLD_SIZE="abc")
    resume()


@attack(code=0)
def a_number_of_restarts_that_is_none_in_the_environment(folder):
    os.environ["TORCHELASTIC_RESTART_COUNT"] = "x"
    return resume()


@attack(says="the ranks cannot be connected: .*; start with torchrun, or unset LOCAL_RANK")
def a_rank_that_another_tool_left_in_the_environment(folder):
    os.environ["LOCAL_RANK"] = "0"
    run()


@attack(says="no pair to train on: no row of its column split says train")
def a_column_split_of_folds(folder):
    Image.new("RGB", (9, 9)).save("0.png")
    Path("pairs.csv").write_text("filepath,caption,split\n0.png,a word,3\n")
    run()


# --- evaluation


def evaluate(*more):
    if not os.path.exists("run"):
        shutil.copytree(WRITTEN, ".", dirs_exist_ok=True)
    return evaluation.main(["--checkpoint", CHECKPOINT, "--threads", "1", *more])


@attack(code=130, says="eval.py: stopped by Ctrl-C$")
def ctrl_c_in_an_evaluation(folder):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    evaluation.write_sections = lambda *args: signal.raise_signal(signal.SIGINT)
    evaluate("--out", "report")


@attack(code=0, says="results.old0.json", slow=True)
def results_of_other_weights_are_not_mixed_with_these(folder):
    evaluate("--task", "retrieval", "--out", "a")
    state = checkpoint.load(CHECKPOINT)
    state["model"]["logit_scale"] += 1
    checkpoint.save(CHECKPOINT, state)
    evaluate("--task", "overlap", "--out", "a")
    evaluate("--task", "classes", "--out", "a")
    results, old = (
        json.loads(Path(f"a/{n}.json").read_text()) for n in ("results", "results.old0")
    )
    assert "heldout" in old and "overlap" not in old and "heldout" not in results
    assert {k: v.split()[-3] for k, v in results["commands"].items()} == dict(
        overlap="overlap", classes="classes"
    )


def over(name, content):
    """An evaluation into a folder with this file is refused before it computes anything."""
    os.mkdir("a")
    Path("a", name).write_text(content)
    evaluation.write_sections = None
    evaluate("--out", "a")


table(
    {
        "damaged_results": ("results.json", '{"command": "', "a/results.json"),
        "a_report_of_somebody_else": ("report.md", "mine", "a/report.md"),
    },
    over,
    name="{}_before_the_work",
    says="{} (is damaged, or )?was not written by this command",
)


@attack(says="cannot be written")
def a_report_where_nothing_can_be_written(folder):
    evaluation.write_sections = None
    evaluate("--out", "/proc/report")


@attack(says="cannot be written")
def an_average_where_nothing_can_be_written(folder):
    evaluation.convert = None
    evaluate("--checkpoint", CHECKPOINT, "--save", "/proc/a.pt")


@attack(says="mine.pt exists, and miniclip did not write it")
def an_average_over_a_file_of_somebody_else(folder):
    evaluate("--checkpoint", CHECKPOINT, "--save", "a.pt")
    evaluate("--checkpoint", CHECKPOINT, "--save", "a.pt")  # its own is replaced
    Path("mine.pt").write_text("mine")
    evaluate("--checkpoint", CHECKPOINT, "--save", "mine.pt")


@attack(code=0, says=r"\\x1b\[31mred")
def control_characters_in_captions_are_not_printed(folder):
    pairs = open_pairs(WRITTEN / "pairs.csv")
    pairs._captions = [("\x1b[31mred",)] * len(pairs)
    evaluation.open_data = lambda *args, **options: (pairs, True)
    evaluate("--search", "red", "-k", "2")


@attack(code=0)
def dollars_in_templates_and_names_are_no_mathematics(folder):
    Path("templates.txt").write_text("{} for $x^\n{} at $y_$\n")
    for name in ("$a^", "$b_$"):
        os.makedirs(f"classes/{name}")
        for k in range(2):
            Image.new("RGB", (9, 9), (99 * k, 9, 9)).save(f"classes/{name}/{k}.png")
    evaluate("--images", "classes", "--templates", "templates.txt", "--task", "zero-shot")


@attack(says="--shift is NAME=FOLDER with a NAME of its own")
def a_shift_that_would_replace_home(folder):
    shutil.copytree(WRITTEN / "pictures", "classes/a")
    shutil.copytree(WRITTEN / "pictures", "classes/b")
    evaluate("--images", "classes", "--shift", "home=classes")


@attack(says="names cannot be read: not a file")
def a_pipe_as_a_list_of_names(folder):
    os.mkfifo("names")
    evaluate("--classes", "names")


@attack(says="a part of this path is a file")
def a_run_whose_folder_is_a_file(folder):
    run("--out", "pairs.csv")


@attack(code=0, says="step 00004/4")
def pairs_that_moved_since_the_run_began(folder):
    shutil.copytree(WRITTEN, "elsewhere")
    shutil.move("elsewhere/run", "run")
    train.report = lambda *args: None
    train.main("--out run --resume --threads 1 --data elsewhere/pairs.csv".split())


def judged(*more):
    """Evaluate a new run of two steps."""
    if not os.path.exists("run"):
        run()
    evaluation.main(["--checkpoint", CHECKPOINT, "--task", "retrieval", "--threads", "1", *more])
    results = {p: json.loads(p.read_text()) for p in Path("run").rglob("results.json")}
    return {p: {k: v for k, v in r.items() if k[:3] in ("all", "hel")} for p, r in results.items()}


@attack(code=0, says="which of them are held out is not known")
def pairs_that_were_renamed_since_training(folder):
    run()
    os.rename("pictures", "others")
    text = Path("pairs.csv").read_text().replace("pictures/", "others/")
    os.remove("pairs.csv")
    Path("pairs.csv").write_text(text)
    [found] = judged().values()
    assert list(found) == ["all"], found


@attack(code=0)
def the_pairs_of_the_run_under_another_spelling(folder):
    first, again = judged(), judged("--data", "./pairs.csv")
    assert first == again and "heldout" in first[Path("run/results.json")], (first, again)


@attack(says="is damaged, or was not written by this command")
def results_whose_commands_were_edited(folder):
    judged()
    path = Path("run/results.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commands": [1]}))
    judged()


@attack(code=0)
def a_log_whose_held_out_loss_is_no_number(folder):
    os.mkdir("run")
    shutil.copy(WRITTEN / CHECKPOINT, CHECKPOINT)
    Path("run/log.jsonl").write_text('{"step": 1, "heldout_loss": "low"}\n')
    assert resume() == 0


@attack(says="best.pt exists, and miniclip did not write it, or it was changed")
def the_checkpoint_of_another_run_in_the_place_of_best(folder):
    os.mkdir("run")
    shutil.copy(WRITTEN / CHECKPOINT, "run/best.pt")
    run()


@attack(says="the model was trained on pairs.csv, which is not here; add --data")
def an_evaluation_far_from_the_pairs(folder):
    run()
    os.rename("run", "other")
    os.remove("pairs.csv")
    evaluation.main(["--checkpoint", "other/checkpoint.pt", "--task", "retrieval"])
