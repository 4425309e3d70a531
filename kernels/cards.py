"""GPUs in numbers: data sheets for all of them, measured speeds for two.

miniclip/cost/plan.py reads the data sheets, kernels/plan.py what was measured.
"""

# fp16, bf16, fp32: dense products in 10^12 flop/s with 32-bit sums (0: the card has no such type).
# link: GB/s one way to the other cards of a machine, half of NVLink's or PCIe's total of both ways.
# network: GB/s one way to other machines, a GPU's share in NVIDIA's eight-GPU machine with this
# card; 50 Gbit/s for cards that are sold singly.
COLUMNS = ("fp16", "bf16", "fp32", "memory_gib", "link_gb_s", "network_gb_s")
GPUS = {
    name: dict(zip(COLUMNS, numbers))
    for name, *numbers in [
        ("v100", 125, 0, 15.7, 32, 150, 6.25),
        ("a100", 312, 312, 19.5, 80, 300, 25),
        ("h100", 989, 989, 67, 80, 450, 50),
        ("h200", 989, 989, 67, 141, 450, 50),
        ("b200", 2250, 2250, 80, 180, 900, 50),
        ("rtx4090", 165, 165, 83, 24, 32, 6.25),
        ("l4", 121, 121, 30, 24, 32, 6.25),
        ("t4", 65, 0, 8.1, 16, 16, 6.25),
    ]
}

# flop_per_s (of fp16 products of 8192^3) and bytes_per_s (of copies) were measured by others on one
# card. arch, sms and flop_a_clock (of one SM) are from the data sheets. clock_hz, the clock under
# load, and l2_bytes_per_s, (most, least) from L2 to all SMs, are estimates.
GPUS["h100"] |= dict(
    flop_per_s=790e12,
    bytes_per_s=3.0e12,
    arch=90,
    sms=132,
    flop_a_clock=4096,
    clock_hz=1.7e9,
    l2_bytes_per_s=(7.0e12, 5.5e12),
)
GPUS["a100"] |= dict(
    flop_per_s=270e12,
    bytes_per_s=1.7e12,
    arch=80,
    sms=108,
    flop_a_clock=2048,
    clock_hz=1.4e9,
    l2_bytes_per_s=(5.0e12, 3.5e12),
)
