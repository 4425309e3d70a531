"""The text tower: a causal Transformer, read at its end token (CLIP, section 2.4).

Tokens -> embeddings + positions -> blocks -> norm -> the activation at the end token -> E numbers.
The Transformer is causal so that it could start from a pretrained language model, or be trained
with a language-modelling loss as well (the paper's reasons). Because it is causal, only the end
token has read the whole text, and the padding behind the end token changes nothing.
Left out: the half-precision, stochastically rounded text weights of the paper's training run.
Lesson: lessons/03_text.md.
"""

import torch
from torch import nn

from miniclip.common import described, refuse
from miniclip.model.transformer import Transformer


def at_end_token(x, tokens):
    """The activation at each text's end token: x (N, L, D), tokens (N, L) int64 -> (N, D).

    The end token has the largest id of the vocabulary. If a row holds several end tokens, the first
    one counts.
    """
    return x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=1)]


def is_word(tokens):
    """Whether a token stands between the start and the end token: (N, L) int64 -> (N, L) bool."""
    position = torch.arange(tokens.shape[1], device=tokens.device)
    return (position > 0) & (position < tokens.argmax(dim=1, keepdim=True))


def check_tokens(tokens: torch.Tensor, context: int) -> None:
    """Raise UserError unless tokens are ids (N, L), with L from 1 to the context."""
    refuse(
        {
            f"tokens must be ids (N, L) with L from 1 to {context}, as a tokenizer makes them, and "
            f"not {described(tokens)}": (
                not torch.is_tensor(tokens)
                or tokens.dtype not in (torch.int64, torch.int32)
                or tokens.ndim != 2
                or not 1 <= tokens.shape[1] <= context
            )
        }
    )


def vectors_of(tokens: torch.Tensor, embedding: nn.Embedding, context: int) -> torch.Tensor:
    """The embedding vectors of token ids: (N, L) int64 -> (N, L, D).

    Raises ValueError when tokens are not ids (N, L), when L is longer than the context, and, on a
    CPU only, when an id is not in the vocabulary.
    """
    check_tokens(tokens, context)
    try:
        return embedding(tokens)
    except IndexError:  # raised on a CPU; on a GPU the kernel fails
        most = embedding.num_embeddings - 1
        raise ValueError(f"ids of tokens must be 0 to {most} for this model") from None


class TextTransformer(nn.Module):
    """(N, L) int64 token ids, L <= context_length -> (N, embed_dim) sentence embeddings.

    width, layers, heads, activation, checkpointing: passed on to Transformer. CLIP inherits this
    class, because the released weights have the text tower's tensors at the top level.
    """

    def __init__(
        self,
        embed_dim,
        width,
        layers,
        heads,
        vocab_size,
        context_length=77,
        activation="quickgelu",
        checkpointing=False,
    ):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = Transformer(
            width, layers, heads, activation, causal=True, checkpointing=checkpointing
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, embed_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        self.transformer.init_as_gpt()

    def encode_text(self, tokens, normalize=False):
        """(N, L) int64 -> (N, E). normalize: divide each vector by its length.

        L may be 1 to context_length. Trimming a batch to its longest text gives the same features
        and costs less.

        Raises ValueError when tokens are not ids (N, L), when L is longer than the context, and, on
        a CPU only, when an id is not in the vocabulary.
        """
        x = vectors_of(tokens, self.token_embedding, len(self.positional_embedding))
        x = self.transformer(x + self.positional_embedding[: tokens.shape[1]])  # (N, L, D)
        # ln_final treats each position by itself, so only the end token's needs to be normalized
        x = self.ln_final(at_end_token(x, tokens))  # (N, D)
        x = x @ self.text_projection  # (N, E)
        return nn.functional.normalize(x, dim=1) if normalize else x
