"""The block operations of kernels/reference.py as Triton kernels.

Read in this order: tile.py (one tile of similarities), forward.py, finish.py, backward.py and
normalize.py (the kernels), tile_config.py (tile sizes for each card), signatures.py (each kernel's
constants and argument types), launch.py (the block operations), interpreter.py (running them on a CPU).
"""
