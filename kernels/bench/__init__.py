"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

Read in this order: __main__.py (the options), cpu.py, gpu.py, plot.py. This folder may import
miniclip; the rest of kernels/ does not.
"""
