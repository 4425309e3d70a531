"""Weights in and out. Read files.py (open a file safely), architecture.py (which model is it), convert.py."""

from miniclip.weights.convert import load, save_openclip

__all__ = ["load", "save_openclip"]
