"""The contrastive loss as operations on blocks of similarities, in plain torch and in Triton.

Read in this order:

    softmax.py        the numbers of one row
    reference.py      the block operations in torch
    contrastive.py    forward and backward pass, made of block operations
    fused/            the block operations in Triton
    plan.py           every launch of a step, counted
    report/           what the compiler makes of the kernels
    bench/            time and memory

cards.py has the GPUs' numbers, and table.py prints tables. Except for the two commands, bench/ and
report/__main__.py, the folder imports only torch and triton. Without triton softmax.py,
reference.py and contrastive.py still work. docs/kernels.md explains the plan.
"""
