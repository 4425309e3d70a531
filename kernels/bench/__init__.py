"""Time and memory of the contrastive loss beside other implementations: `python -m kernels.bench`.

This folder may import miniclip, whose timer it uses; the rest of kernels/ does not.
"""
