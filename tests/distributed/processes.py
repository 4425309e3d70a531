"""The same work in several processes that torch.distributed joins."""

import os

import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp


def on_processes(world, work, folder):
    """[work(rank) of each rank], which torch.save takes, from processes that gloo joins."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(_one, (world, work, str(folder)), nprocs=world)
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


def _one(rank, world, work, folder):
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch_dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    torch.save(work(rank), f"{folder}/{rank}.pt")
    torch_dist.barrier()
    os._exit(
        0
    )  # gloo's threads have aborted a process that ended as usual, after its work was done
