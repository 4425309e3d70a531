"""Text to token ids for the text tower (CLIP, section 2.4: lower-cased byte-pair encoding).

Read in this order: cleaning.py (repair a caption, lower-case it, split it into words), merges.py
(learn byte-pair merges, and apply them), tokenizer.py (the vocabulary, and rows of ids).
`from miniclip.bpe import Tokenizer`.
"""

from miniclip.bpe.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
