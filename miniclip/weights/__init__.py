"""Weights in and out: a file of OpenAI, open_clip, Hugging Face or our own becomes a model, and back.

Read names.py (where weights that have a name lie), reading.py (open a file without executing it),
architecture.py (which model it is, and whether its tensors are that model's), convert.py (load, save_openclip, and
what fine-tuning starts from) and huggingface.py (transformers' names, config and vocabulary, and
save_huggingface). average.py makes the weights between two models, and
__main__.py is the command that exports. released/ holds the models that the package brings.
"""

from miniclip.weights.convert import load, save_openclip
from miniclip.weights.huggingface import save_huggingface

__all__ = ["load", "save_huggingface", "save_openclip"]
