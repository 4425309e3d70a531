"""results.json: the numbers of a report, and those of earlier commands about the same weights."""

import itertools
import json

from miniclip.common import UserError, check_output, write_json


def earlier_results(out, key):
    """What results.json in the folder `out` holds, or {}. Raises UserError before the work starts
    where the report cannot be written, or where the files there lack `key`, so are not its own."""
    there = [path for path in (out / "results.json", out / "report.md") if path.exists()]
    check_output(out / "results.json")
    check_output(out / "report.md")
    try:
        before = json.loads((out / "results.json").read_text("utf-8")) if there else {}
    except (OSError, ValueError, RecursionError):
        before = None
    if there and not (isinstance(before, dict) and key in before):
        raise UserError(
            f"{there[0]} is damaged, or was not written by this command; move it away, or choose "
            "another --out"
        )
    return before


def write_results(out, before, results):
    """Write results.json. It keeps the sections of earlier commands, unless they are of another model:
    then their file gets another name."""
    if before and before.get("model") != results["model"]:
        names = (out / f"results.old{k}.json" for k in itertools.count())
        old = next(name for name in names if not name.exists())
        (out / "results.json").replace(old)
        print(f"\nresults.json was of another model; what it held is in {old.name}")
        before = {}
    commands = before.get("commands", {}) | results["commands"]
    write_json(out / "results.json", before | results | {"commands": commands})
