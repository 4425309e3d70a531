"""Each file imports only what stands below it, and imports form no cycle, by their sources."""

import ast
import graphlib

from tests.shared import ROOT

# Lowest first; what stands on one line may not import the others of it. The longest name that fits
# a module counts.
FLOORS = [
    ["kernels"],
    ["miniclip.common"],
    ["miniclip.plots"],
    ["miniclip.model", "miniclip.bpe", "miniclip.distributed"],
    ["miniclip.loss"],
    ["miniclip.objectives"],
    ["miniclip.data"],
    ["miniclip.training"],
    ["miniclip.weights"],
    ["miniclip.zeroshot"],
    ["miniclip.evaluation"],
    ["miniclip.cost", "miniclip.benchmarks", "miniclip.search"],
    ["kernels.bench", "kernels.report.__main__"],
    ["train", "eval", "miniclip.__main__"],
    # lessons/studies/
    ["convirt"],
    ["objectives", "make_table", "make_sample", "release", "loss_ladder", "compile_product"],
    ["harness"],
    ["race", "scaling", "words", "questions"],
    ["sealed"],
]
# miniclip/__init__.py imports nothing of ours until one of its names is used: it is on no floor
LAZY = "miniclip"


def modules():
    """{module name: path} of the library, the two commands and the studies."""
    paths = [p for folder in ("miniclip", "kernels") for p in (ROOT / folder).rglob("*.py")]
    paths += [ROOT / "train.py", ROOT / "eval.py"]
    names = {}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names | {path.stem: path for path in (ROOT / "lessons/studies").glob("*.py")}


def imports(name, path, known):
    """Names of our modules that a file imports, inside functions as well."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            home = node.module or ""
            if node.level:  # from . import x: count back from the package
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                home = ".".join([*parts, *filter(None, [node.module])])
            inside = {f"{home}.{alias.name}" for alias in node.names}
            found |= (inside & known) or {home}
            found |= {home} if inside - known else set()
    return {target for target in found if target in known and target != name}


MODULES = modules()
IMPORTS = {name: imports(name, path, MODULES.keys()) for name, path in MODULES.items()}


def floor(module):
    """(how high a module stands, the name of its floor)."""
    fits = [
        (len(name), height, name)
        for height, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert fits, f"{module} stands on no floor: give it one in FLOORS"
    return max(fits)[1:]


def test_nothing_imports_what_stands_above_it():
    broken = set()
    for module in MODULES.keys() - {LAZY}:
        for target in IMPORTS[module] - {LAZY}:
            (mine, my_name), (other, other_name) = floor(module), floor(target)
            if other > mine or (other == mine and other_name != my_name):
                broken.add((module, target))
    assert not broken, f"(importer, imported): {sorted(broken)}"


def test_no_imports_form_a_cycle():
    try:
        graphlib.TopologicalSorter(IMPORTS).prepare()
    except graphlib.CycleError as error:
        raise AssertionError(f"imports form a cycle: {' -> '.join(error.args[1])}") from None


def test_kernels_do_not_import_miniclip_but_for_their_commands():
    for module, targets in IMPORTS.items():
        if module.startswith("kernels") and not module.startswith(
            ("kernels.bench", "kernels.report.__main__")
        ):
            assert not {t for t in targets if t.startswith("miniclip")}, module


def test_the_towers_know_no_ranks_devices_or_files():
    for module, path in MODULES.items():
        if module.startswith("miniclip.model"):
            text = path.read_text(encoding="utf-8")
            for word in ("torch.distributed", "torch.cuda", "open(", "pathlib", "import os"):
                assert word not in text, f"{module} has {word}"
