"""Weights in and out: a file of OpenAI, open_clip, Hugging Face or our own becomes a model, and back.

Read reading.py (open a file without executing it), torchscript.py (OpenAI's archives), architecture.py
(which model it is, from the shapes of its tensors), convert.py (load and save_openclip), huggingface.py
(transformers' names and config, and save_huggingface) and huggingface_tokenizer.py (its vocabulary
files). initial.py and average.py are for fine-tuning: the weights that it starts from, and the weights
between two models. released/ holds the models that the package brings.
"""

from miniclip.weights.convert import load, save_openclip
from miniclip.weights.huggingface import save_huggingface

__all__ = ["load", "save_huggingface", "save_openclip"]
