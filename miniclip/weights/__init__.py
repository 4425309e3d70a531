"""Weights in and out: OpenAI's, open_clip's, Hugging Face's and our own files.

Read in this order:

    names.py           finds weights that are given by a name
    reading.py         opens a file without executing what is in it
    architecture.py    finds the architecture, and compares the tensors with it
    convert.py         load, save_openclip, and the weights that fine-tuning starts from
    huggingface.py     transformers' names, config and vocabulary, and save_huggingface
    average.py         averages the weights of two models
    __main__.py        the command that exports a model

released/ holds the models that come with the package.
"""

from miniclip.weights.convert import load, save_openclip
from miniclip.weights.huggingface import save_huggingface

__all__ = ["load", "save_huggingface", "save_openclip"]
