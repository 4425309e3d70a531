"""The file of a study's finished trainings: one line of JSON each, added as the training ends."""

import json

from miniclip.common import replacing


def finished(path):
    """The lines of a file of runs: a list of dicts."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(path, line):
    """Add a finished run to a file; a killed process leaves the file as it was, or with the line."""
    before = path.read_bytes() if path.exists() else b""
    with replacing(path) as file:
        file.write(before + (json.dumps(line) + "\n").encode())
