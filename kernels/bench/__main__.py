"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

python -m kernels.bench --device cpu     torch in row chunks, figure 3 and open_clip (cpu.py)
python -m kernels.bench                  on a GPU: the whole loss and every kernel (gpu.py)
"""

import sys

import torch

from miniclip.common import Parser, check_output, command, number, path


def is_bench(folder):
    """Whether the bench.json in a folder is one that this command wrote."""
    file = folder / "bench.json"
    return file.is_file() and b'"loss' in file.read_bytes()[:1024]


@command("python -m kernels.bench")
def main(argv=None):
    """The command; returns its exit code."""
    parser = Parser(prog="python -m kernels.bench", description=(__doc__ or "").split("\n")[0])
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    count = number(int, low=1, high=10**7)
    parser.add_argument("--device", choices=["cpu", "cuda"], default=auto)
    parser.add_argument("--sizes", type=count, nargs="+", help="batch sizes N (two on a CPU)")
    parser.add_argument("--dim", type=count, default=512, help="width E of the features")
    threads = number(int, low=1, high=1024)
    parser.add_argument("--threads", type=threads, default=1, help="CPU threads")
    parser.add_argument(
        "--rounds", type=count, default=3, help="fresh processes for each loss (CPU)"
    )
    parser.add_argument(
        "--repeats", type=count, default=3, help="timed steps in each process (CPU)"
    )
    parser.add_argument("--out", type=path(), help="folder for bench.json and bench.png")
    parser.add_argument("--overwrite", action="store_true", help="replace any files of these names")
    options = parser.parse_args(argv)
    for name in ("bench.json", "bench.png") if options.out else ():
        check_output(options.out / name, lambda path: is_bench(options.out), options.overwrite)
    if options.device == "cpu":
        from kernels.bench.cpu import bench_cpu as bench
    elif torch.cuda.is_available():
        from kernels.bench.gpu import bench_gpu as bench
    else:
        parser.error("there is no GPU here; --device cpu measures the torch losses")
    return bench(options)


if __name__ == "__main__":
    sys.exit(main())
