"""The plot of both halves of the benchmark: time and memory of each loss over N."""

from miniclip import plots


def plot(rows, time_of, bytes_of, title, path):
    """Time and memory over N, one line per loss. rows: dicts with n and loss; *_of: row -> number."""
    panels = []
    for of, what in ((time_of, "seconds per step"), (bytes_of, "MiB")):
        curves = {}
        for row in rows:
            if of(row):
                n, values = curves.setdefault(row["loss"], ([], []))
                n.append(row["n"])
                values.append(of(row))
        panels.append(
            (curves, dict(xscale="log", yscale="log", xlabel="N", ylabel=what, title=title))
        )
    plots.lines(panels, path)
