"""Predict the caption's n-grams, smoothed inside the loss (Visual N-Grams: Li et al. 2017)."""

import math
from collections import Counter

import torch
from torch import nn

from miniclip.model.text import is_word
from miniclip.objectives.predictive import Predictive

SHARE = 0.5  # weight of the n-gram in the smoothed probability; not tuned
FEWEST = 10  # an n-gram of the dictionary occurs at least so often; not tuned


class Ngrams(Predictive):
    """A score for each word and each n-gram of a dictionary, linear in the picture's features.

    The probability of a word in its text is Jelinek and Mercer's mixture. P_1 is a softmax over the
    single words. Each higher order mixes in its n-grams:
    P_n = SHARE softmax_n + (1 - SHARE) P_(n-1), where softmax_n is over the n-grams of the
    dictionary that begin with the n - 1 words before. If there are no such n-grams, P_n = P_(n-1).
    The loss of a pair is -sum log P over the words. The score of a name is its log-probability.
    Lower bound of the loss on a batch: a softmax over n-grams may give 1 to the right one, but all
    k words of a caption share one softmax q over single words. So the bound of one caption is the
    minimum over q of -sum log(a_i + b_i q(word i)), and the bound of the batch is the mean over its
    captions. Here b_i is (1 - SHARE) to the power of the number of orders with a softmax_n at word
    i, and a_i is the weight of the n-grams that end with word i and are in the dictionary. Without
    n-grams the bound of a caption of k different words is k log k.
    ngrams: the number of n-grams of each order, from order 2; learn_dictionary sets it. The paper
    goes up to order 5, and this file to 3. Left out: the paper's own limits of the dictionary.
    """

    objective = "ngrams"

    def __init__(self, *, ngrams=(0, 0), **config):
        super().__init__(**config)
        self._resize(ngrams)

    def _resize(self, ngrams):
        """Make room for the keys and the scores of so many n-grams of each order."""
        self.config["ngrams"] = list(ngrams)
        for n, size in enumerate(ngrams, 2):
            self.register_buffer(f"keys{n}", torch.zeros(size, dtype=torch.int64))
        self.ngrams = nn.Linear(self.config["embed_dim"], self.config["vocab_size"] + sum(ngrams))

    @property
    def keys(self):
        """The sorted keys of the n-grams of each order. The key of an n-gram is (number of its
        first n - 1 words) * vocab_size + id of its last word. The number of an n-gram is its place
        among the keys, and the number of a single word is its id."""
        return [getattr(self, f"keys{n}") for n, _ in enumerate(self.config["ngrams"], 2)]

    def learn_dictionary(self, texts, fewest=FEWEST):
        """Keep the n-grams that occur at least `fewest` times in `texts`, (N, L) int64."""
        V, keys, device = self.config["vocab_size"], [], self.keys[0].device
        rows = [row[word].tolist() for row, word in zip(texts, is_word(texts))]
        number = {(w,): w for w in range(V)}
        for n, _ in enumerate(self.keys, 2):
            count = Counter(tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1))
            kept = {
                number[gram[:-1]] * V + gram[-1]: gram for gram, c in count.items() if c >= fewest
            }
            keys.append(torch.tensor(sorted(kept), dtype=torch.int64))
            number = {kept[key]: place for place, key in enumerate(sorted(kept))}
        self._resize([len(of_order) for of_order in keys])
        for mine, found in zip(self.keys, keys):
            mine.copy_(found)
        self.to(device)

    def encode_image(self, images, normalize=False):
        """The log-probability of every word, and of every n-gram among the n-grams with the same
        first n - 1 words: (N, 3, H, W) -> (N, vocab_size + all n-grams) fp32."""
        sizes = [self.config["vocab_size"], *self.config["ngrams"]]
        words, *scores = self.ngrams(self.visual(images)).float().split(sizes, 1)
        of_ngrams = [
            softmax_of_groups(x, keys // sizes[0], begins)
            for keys, x, begins in zip(self.keys, scores, sizes)
        ]
        return torch.cat([words.log_softmax(1), *of_ngrams], 1)

    def pair_losses(self, features, tokens):
        """-log of the smoothed probability of the caption's words: (N, K), (N, L) int64 -> (N,)."""
        V, word = self.config["vocab_size"], is_word(tokens)
        number, log_p, offset = tokens.where(word, -1), features.gather(1, tokens), 0
        for keys, begins in zip(self.keys, [V, *self.config["ngrams"]]):
            offset += begins
            before = nn.functional.pad(number[:, :-1], (1, 0))  # of the words before; 1st unused
            place, found = look_up(keys, before * V + tokens)
            found &= word & (before >= 0)
            known = torch.zeros(begins, dtype=torch.bool, device=tokens.device)
            known[keys // V] = True
            if len(keys):
                ngram = features.gather(1, offset + place).masked_fill(~found, -torch.inf)
                mixed = torch.logaddexp(ngram + math.log(SHARE), log_p + math.log(1 - SHARE))
                log_p = mixed.where((before >= 0) & known[before.clamp(min=0)], log_p)
            number = place.where(found, -1)
        return -log_p.where(word, 0).sum(1)


def look_up(keys, wanted):
    """(place in the sorted keys, whether it is there) of each wanted number."""
    place = torch.searchsorted(keys, wanted).clamp(max=max(0, len(keys) - 1))
    return place, keys[place] == wanted if len(keys) else torch.zeros_like(wanted, dtype=torch.bool)


def softmax_of_groups(x, group, groups):
    """The log-softmax of x (N, G) over the columns of each group, (G,) int64 from 0 to groups - 1."""
    top = x.new_full((len(x), groups), -torch.inf)
    top = top.scatter_reduce(1, group.expand(len(x), -1), x.detach(), "amax")
    x = x - top.index_select(1, group)  # top[:, group] is a third slower, with its gradient
    total = x.new_zeros(len(x), groups).index_add(1, group, x.exp())
    return x - total.log().index_select(1, group)
