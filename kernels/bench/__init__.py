"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

Read in this order: __main__.py (the options), cpu.py, gpu.py. This folder may import
miniclip, whose timer it uses; the rest of kernels/ does not.
"""
