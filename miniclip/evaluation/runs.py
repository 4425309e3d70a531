"""The file of a study's finished trainings: one line of JSON each, added as the training ends."""

import hashlib
import json

from miniclip.common import UserError, replacing


def finished(path):
    """The lines of a file of runs: a list of dicts."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def results(path, wanted):
    """What was found in each of the `wanted` runs, dicts as the file has them at "run": a list.

    Raises UserError when the file lacks one.
    """
    lines = finished(path)
    found = [next((line["found"] for line in lines if line["run"] == run), None) for run in wanted]
    if missing := found.count(None):
        raise UserError(f"{path} lacks {missing} runs with these settings; leave out --figures")
    return found


def folder_of(out, run):
    """The folder of a run's training in the folder `out`, the same whenever the run is."""
    return out / hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:12]


def add(path, line):
    """Add a finished run to a file; a killed process leaves the file as it was, or with the line."""
    before = path.read_bytes() if path.exists() else b""
    with replacing(path) as file:
        file.write(before + (json.dumps(line) + "\n").encode())
