"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

python -m kernels.bench --device cpu     torch in row chunks, figure 3 and open_clip (cpu.py)
python -m kernels.bench                  on a GPU: the whole loss and every kernel (gpu.py)
"""

import sys

import torch

from miniclip.common import Parser, command, number, refuse

COUNT, THREADS = number(int, low=1, high=10**7), number(int, low=1, high=1024)
OPTIONS = {
    "--device": dict(choices=["cpu", "cuda"], help="where (the GPU, if there is one)"),
    "--sizes": dict(type=COUNT, nargs="+", help="batch sizes N (two on a CPU)"),
    "--dim": dict(type=COUNT, default=512, help="width E of the features"),
    "--threads": dict(type=THREADS, default=1, help="CPU threads"),
    "--rounds": dict(type=COUNT, default=3, help="fresh processes for each loss (CPU)"),
}


@command("python -m kernels.bench")
def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    what = (__doc__ or "").split("\n")[0]
    args = Parser.of("python -m kernels.bench", what, OPTIONS).parse_args(argv)
    gpu = torch.cuda.is_available()
    missing = args.device == "cuda" and not gpu
    refuse({"there is no GPU here; --device cpu measures the torch losses": missing})
    if gpu and args.device != "cpu":
        from kernels.bench.gpu import bench_gpu

        bench_gpu(args.sizes or [8192, 32768, 131072], args.dim)
    else:
        from kernels.bench.cpu import bench_cpu

        bench_cpu(args.sizes or [4096, 16384], args.dim, args.threads, args.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
