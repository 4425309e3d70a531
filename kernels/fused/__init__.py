"""The block operations of kernels/reference.py as Triton kernels.

Read in this order:

    tile.py                   one tile of similarities
    forward.py, finish.py     the kernels of the forward pass
    backward.py               the kernels of the backward pass
    normalize.py              the kernels for the lengths of rows
    tile_config.py            tile sizes for each card
    signatures.py             each kernel's constants and argument types
    launch.py                 the block operations, which launch the kernels
    interpreter.py            running them on a CPU
"""
