"""The contrastive loss as operations on blocks of similarities, in plain torch and in Triton.

Read in this order: softmax.py (the numbers of one row), reference.py (the block operations in
torch), contrastive.py (forward and backward from block operations), fused/ (the block operations in
Triton), plan.py (every launch of a step, counted), report/ (what the compiler makes of them), bench/
(time and memory). cards.py has the GPUs' numbers, table.py prints tables. The folder imports torch and
triton only, bench/ excepted, and only fused/, plan.py, report/ and the GPU half of bench/ need triton.
docs/kernels.md explains the plan.
"""
