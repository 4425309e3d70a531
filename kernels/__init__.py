"""The contrastive loss as block operations, twice: in plain torch and in Triton.

Read in this order: softmax.py (the numbers of one row), reference.py (the block operations in
torch), contrastive.py (strings them together). This package imports torch and triton only, and
everything but the Triton files works where Triton is missing.
"""
