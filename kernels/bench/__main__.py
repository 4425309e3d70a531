"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

python -m kernels.bench --device cpu     torch in row chunks, figure 3 and open_clip (cpu.py)
python -m kernels.bench                  on a GPU: the whole loss and every kernel (gpu.py)
"""

import sys

import torch

from miniclip.common import Parser, command, number


@command("python -m kernels.bench")
def main(argv: list[str] | None = None) -> int:
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
    args = parser.parse_args(argv)
    if args.device == "cpu":
        from kernels.bench.cpu import bench_cpu

        bench_cpu(args.sizes or [4096, 16384], args.dim, args.threads, args.rounds)
    elif torch.cuda.is_available():
        from kernels.bench.gpu import bench_gpu

        bench_gpu(args.sizes or [8192, 32768, 131072], args.dim)
    else:
        parser.error("there is no GPU here; --device cpu measures the torch losses")
    return 0


if __name__ == "__main__":
    sys.exit(main())
