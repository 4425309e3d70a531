"""18  One objective more.  Read lessons/18_objectives.md, then make this file green.

Bag-of-words prediction lets the words compete in one softmax. Here each word of the vocabulary is a
question by itself: is it in the caption? The model answers with log-odds z, and sigmoid(z) is the probability
of a yes. `is_word(tokens)` is a mask, (N, L) bool: True for the tokens between the start and the end token,
False for these two and for the padding behind them. Start and end have columns of the log-odds too, and
their answer is always no. The padding has the id 0, which is the id of a word as well.

When the file is green, an import and a line in OBJECTIVES of miniclip/objectives/__init__.py give you
lessons/studies/objectives.py --objective yes_or_no.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from miniclip import objectives
from miniclip.bpe import Tokenizer
from miniclip.model.text import is_word  # noqa: F401
from miniclip.objectives.predictive import Predictive

ANSWER = "tests.answers.ex18_1_objective:YesOrNo"


class YesOrNo(Predictive):
    """A linear layer over the picture's features, and a sigmoid for each word of the vocabulary.

    The loss of a pair is the sum over the vocabulary of -log p(right answer), in nats; the right answer
    is yes for the caption's words. The start, the end and the padding are no words. Lower bound of the
    loss on a batch: 0, when no picture occurs twice with other captions. The score of a name is the
    same without the sign.
    """

    objective = "yes_or_no"

    def build(self, clip):
        self.words = nn.Linear(self.config["embed_dim"], self.config["vocab_size"])

    def encode_image(self, images, normalize=False):
        """The log-odds of every word: (N, 3, H, W) -> (N, vocab_size) fp32."""
        return self.words(self.visual(images)).float()

    def pair_losses(self, features, tokens):
        """Sums of cross-entropies: log-odds (N, vocab_size), tokens (N, L) int64 -> (N,)."""
        raise NotImplementedError  # about 4 lines, with is_word


CAPTIONS = [f"{a} {b}" for a in ("red", "green", "blue", "pink") for b in ("house", "tree", "car")]
TOKENIZER = Tokenizer.train(CAPTIONS, 560, context_length=12)
SIZES = dict(vocab_size=TOKENIZER.vocab_size, image_size=16, vision_layers=[1], vision_width=8)
SIZES |= dict(vision_heads=2, embed_dim=32, text_width=32, text_heads=2, context_length=12)


def model():
    torch.manual_seed(0)
    objectives.OBJECTIVES["yes_or_no"] = YesOrNo  # the line in the table
    try:
        return objectives.create("yes_or_no", "rn_icons_xs", **SIZES)
    finally:
        del objectives.OBJECTIVES["yes_or_no"]


def words_of(text):
    """The ids of a caption's words, without start and end: a set."""
    return set(TOKENIZER.encode(text))


def log_odds(seed, n=1):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, TOKENIZER.vocab_size, generator=generator)


def test_each_pair_has_its_own_loss():
    z, tokens = log_odds(1, len(CAPTIONS)), TOKENIZER(CAPTIONS)
    together, alone = model().pair_losses(z, tokens), []
    for k in range(len(CAPTIONS)):
        alone.append(model().pair_losses(z[k : k + 1], tokens[k : k + 1]))
    assert together.shape == (len(CAPTIONS),), f"one loss a pair, not {tuple(together.shape)}"
    assert torch.allclose(together, torch.cat(alone)), "a pair's loss depends on its neighbours"


def test_order_repetition_and_padding_do_not_count():
    z = log_odds(2)
    for text, why in (("tree red", "the order"), ("red tree red", "a word that is said twice")):
        a, b = (model().pair_losses(z, TOKENIZER([t], trim=True)) for t in ("red tree", text))
        assert torch.allclose(a, b), f"{why} changed the loss from {a.item():.4f} to {b.item():.4f}"
    short, long = (model().pair_losses(z, TOKENIZER(["red tree"], trim=t)) for t in (True, False))
    assert torch.allclose(short, long), "the padding behind the end token is no word"


@pytest.mark.parametrize("what", ["red", "the start", "the end"])
def test_a_sure_yes_to_what_is_no_word_of_the_caption_costs(what):
    tokens, z = TOKENIZER(["green house"], trim=True), torch.zeros(1, TOKENIZER.vocab_size)
    (word,) = words_of("red")
    word = {"red": word, "the start": tokens[0, 0], "the end": tokens[0].max()}[what]
    before = model().pair_losses(z, tokens).item()
    z[0, word] = 5.0  # the probability of a yes goes from .5 to nearly 1
    more = model().pair_losses(z, tokens).item() - before
    assert more > 1e-3, (
        f"'green house' does not have the word {what!r}, so a sure yes must cost more than an "
        f"undecided answer; the loss changed by {more:+.2f}"
    )


def test_sure_and_right_answers_cost_nothing_and_sure_wrong_ones_no_infinity():
    z = torch.full((1, TOKENIZER.vocab_size), -200.0)
    z[0, list(words_of("blue car"))] = 200.0
    tokens = TOKENIZER(["blue car"], trim=True)
    right, wrong = model().pair_losses(z, tokens), model().pair_losses(-z, tokens)
    assert right.item() == 0, f"the lower bound is 0, and this is {right.item()}"
    assert torch.isfinite(wrong).all(), "log(0): use a function that takes the log-odds themselves"


@given(st.integers(0, 10**6), st.sampled_from(CAPTIONS))
def test_it_is_the_sum_over_all_words_of_the_vocabulary(seed, caption):
    z = log_odds(seed)
    p = z[0].double().sigmoid()
    own = words_of(caption)
    want = -sum((p[k] if k in own else 1 - p[k]).log().item() for k in range(len(p)))
    (loss,) = model().pair_losses(z, TOKENIZER([caption], trim=True)).tolist()
    assert abs(loss - want) < 1e-5 * want, (
        f"{caption!r}: {len(own)} times -log p(yes) and {len(p) - len(own)} times -log p(no) make "
        f"{want:.4f}, not {loss:.4f}"
    )


def test_a_word_with_the_id_of_the_padding_is_a_word():
    z, text = log_odds(5), "!! red"
    tokens, own = TOKENIZER([text]), words_of(text)
    assert 0 in own and (tokens[0, -3:] == 0).all()  # "!" inside a word, and the padding
    p = z[0].double().sigmoid()
    want = -sum((p[k] if k in own else 1 - p[k]).log().item() for k in range(len(p)))
    (loss,) = model().pair_losses(z, tokens).tolist()
    assert abs(loss - want) < 1e-5 * want, (
        f"{text!r} has the words {sorted(own)}, and the padding behind it has the id 0 too: the loss is "
        f"{want:.4f} if 0 is a yes, and yours is {loss:.4f}"
    )


def test_the_gradient_is_probability_minus_answer():
    z = log_odds(3).requires_grad_()
    model().pair_losses(z, TOKENIZER(["green house"], trim=True)).sum().backward()
    want = z.detach().sigmoid()
    want[0, list(words_of("green house"))] -= 1
    worst = (z.grad - want).abs().max().item()
    assert worst < 1e-6, (
        f"the derivative by log-odds is p - [word in caption]; {worst} away from it"
    )


def test_twelve_pictures_learn_their_names():
    net, tokens = model().train(), TOKENIZER(CAPTIONS, trim=True)
    images = torch.randn(12, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    optimizer, losses = torch.optim.Adam(net.parameters(), lr=1e-2), []
    for _ in range(80):
        optimizer.zero_grad()
        loss = net.batch_loss(images, tokens)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0], f"of the loss {losses[0]:.1f} is left {losses[-1]:.2f}"
    scores = net.name_scores(net.encode_image(images).detach(), TOKENIZER, CAPTIONS, ["{}"])
    hits = int((scores.argmax(1) == torch.arange(12)).sum())
    assert hits >= 11, f"{hits} of 12 pictures have their own name as the best one"


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_each_pair_has_its_own_loss": (
        "How many numbers do you return for a batch of twelve pairs?",
        "`pair_losses` returns one loss for each pair, and the mean over the batch is taken elsewhere. So sum over "
        "the vocabulary only.",
        "losses.sum(1), for losses of shape (N, vocab_size)",
    ),
    "test_order_repetition_and_padding_do_not_count": (
        "What is the id of the padding, and what does your function think it is?",
        "A caption is a set of words here. The start, the end and the padding are no words (`is_word` knows), and "
        "a word that is said twice is still one yes.",
        "Count each word of a caption with scatter_add_ of is_word(tokens).float(), then clamp the counts to 1.",
    ),
    "test_a_word_with_the_id_of_the_padding_is_a_word": (
        "The id 0 is at two kinds of places in this caption. Which of them did your function write last?",
        "The padding has the id 0, and so has a token of the vocabulary. Where both are in one caption, the no of "
        "the padding must not replace the yes of the word.",
        "scatter_add_ of is_word(tokens).float() adds 0 for the padding; then clamp the counts to 1.",
    ),
    "test_a_sure_yes_to_what_is_no_word_of_the_caption_costs": (
        "How many questions does each picture answer, and how many of them do you count?",
        "Every word of the vocabulary is a question, and most have the answer no. Words that are absent count, and "
        "so do the start and the end, whose right answer is always no.",
        "-log sigmoid(z) where the answer is yes, plus -log sigmoid(-z) where it is no, over all columns",
    ),
    "test_sure_and_right_answers_cost_nothing_and_sure_wrong_ones_no_infinity": (
        "What is sigmoid(-200) in float32, and what is its logarithm?",
        "Each question has a sigmoid of its own, so a sure and right answer costs 0, whatever the other words say. "
        "And a probability that rounds to 0 has no logarithm: work with the log-odds themselves.",
        "F.binary_cross_entropy_with_logits takes log-odds; F.logsigmoid does too.",
    ),
    "test_it_is_the_sum_over_all_words_of_the_vocabulary": (
        "By which factor is your loss different from the one in the message?",
        "It is a sum over the vocabulary, and not a mean.",
        'reduction="none" in the loss, then .sum(1) over the vocabulary',
    ),
    "test_the_gradient_is_probability_minus_answer": (
        "Is every step of yours differentiable, and does the gradient reach `features`?",
        "The answers (0 or 1) are constants, and only the log-odds have a gradient.",
        "No .detach() and no comparison on `features`; the derivative of -log sigmoid(z) is sigmoid(z) - 1.",
    ),
    "test_twelve_pictures_learn_their_names": (
        "Does your loss fall for one pair alone? And for two?",
        "If all other laws are green, look for something that is not computed anew for each batch.",
        "losses of this batch's features and this batch's tokens only",
    ),
}
DIFFERS = (
    "The answer in tests/answers writes the ones with scatter_add_ and a clamp, so that no loop runs over the captions, "
    "and leaves the logarithms to binary_cross_entropy_with_logits, which is exact for sure answers too."
)
