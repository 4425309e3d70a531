"""Text to token ids. Read cleaning.py, then merges.py (byte-pair encoding), then tokenizer.py."""

from miniclip.bpe.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
