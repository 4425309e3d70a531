"""The plot of both halves of the benchmark: time and memory of each loss over N."""


def plot(rows, time_of, bytes_of, title, path):
    """Time and memory over N, one line a loss. rows: dicts with n and loss; *_of: row -> number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4))
    axes = figure.subplots(1, 2)
    for axis, of, what in zip(axes, (time_of, bytes_of), ("seconds a step", "MiB")):
        for loss in dict.fromkeys(r["loss"] for r in rows):
            points = [(r["n"], of(r)) for r in rows if r["loss"] == loss and of(r)]
            axis.plot(*zip(*points), "o-", label=loss)
        axis.set(xscale="log", yscale="log", xlabel="N", ylabel=what)
    axes[0].legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=80, bbox_inches="tight")
