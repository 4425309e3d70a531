"""Laws of every objective: the lower bound that its docstring states, and where it comes from."""

import math

import pytest
import torch

from miniclip.bpe import Tokenizer
from miniclip.model.clip import check_numbers, create_model
from miniclip.objectives import OBJECTIVES, create, ngrams
from miniclip.training.recipe import MAX_LOGIT_SCALE
from tests.shared import must_refuse

NAMES, FEWEST = list(OBJECTIVES), 2
APART = [name for name, kind in OBJECTIVES.items() if not kind.shared_space]
WORDS = ("red green blue pink", "round square thin tall", "house tree car cup")
CAPTIONS = [
    f"{a} {b} {c}" for a in WORDS[0].split() for b in WORDS[1].split() for c in WORDS[2].split()
]
TOKENIZER = Tokenizer.train(CAPTIONS, 620, context_length=16)
TINY = dict(
    vocab_size=TOKENIZER.vocab_size,
    image_size=16,
    vision_layers=[1],
    vision_width=8,
    vision_heads=2,
    embed_dim=64,
    text_width=64,
    text_heads=2,
    context_length=16,
)


def tiny(objective, seed=0, texts=CAPTIONS, **more):
    torch.manual_seed(seed)
    model = create(objective, "rn_icons_xs", **TINY | more).train()
    if objective == "ngrams":
        model.learn_dictionary(TOKENIZER(list(texts), trim=True), FEWEST)
    return model


def pictures(n, seed=0):
    return torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def steps(model, images, tokens, count, lr=3e-3):
    """Train with Adam and the clamp of train.py; yields the loss before each step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for step in range(count):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 10)
        optimizer.zero_grad()
        loss = model.batch_loss(images, tokens)
        loss.backward()
        optimizer.step()
        if model.shared_space:
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        yield loss.item()


def bound(objective, scale, n):
    """The lower bound that the docstring states, on n captions of CAPTIONS, all different."""
    c = n / (n - 1)
    if objective.startswith("contrastive"):
        return math.log1p((n - 1) * math.exp(-scale * c))
    if objective == "sigmoid":
        m = torch.linspace(-20, 2 * scale, 40_001, dtype=torch.float64)
        softplus = torch.nn.functional.softplus
        return (softplus(-m) + (n - 1) * softplus(m - scale * c)).min().item()
    if objective == "bag_of_words":
        return math.log(3)
    return 0.0


# steps within which the law held, and half as many again
STEPS = dict(contrastive=75, contrastive_bow=75, sigmoid=250, bag_of_words=125, captioning=100, masked_words=300)  # fmt: skip
FAST = ("contrastive_bow", "bag_of_words")


@pytest.mark.parametrize(
    "objective",
    [pytest.param(n, marks=[] if n in FAST else pytest.mark.slow) for n in STEPS],
)
def test_training_reaches_the_stated_bound(objective):
    """64 pairs with one caption each: at most 2 % of the way to the lower bound is left."""
    model, images, tokens = tiny(objective), pictures(64), TOKENIZER(CAPTIONS, trim=True)
    lowest, losses = bound(objective, 100.0, 64), []
    for loss in steps(model, images, tokens, STEPS[objective]):
        losses.append(loss)
        assert loss > lowest - 1e-4, f"{loss} is below the bound {lowest}"
        # the mean of three steps: masked words takes the three words of a caption in turn
        left = (sum(losses[-3:]) / 3 - lowest) / (losses[0] - lowest)
        if len(losses) > 3 and left <= 0.02:
            return
    raise AssertionError(f"{objective}: {left:.3f} of the way is left after {len(losses)} steps")


def test_the_sigmoid_loss_is_the_sum_over_all_pairs():
    model = tiny("sigmoid").double()
    x, y = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0)).double()
    cosine = torch.cosine_similarity(x[:, None], y[None], dim=2)
    z = 2 * torch.eye(5).double() - 1
    total = (-z * (10 * cosine - 10)).exp().log1p().sum().item() / 5
    for scale in (torch.tensor(10.0).double().log(), model.logit_scale):
        assert model.features_loss(x, y, scale).item() == pytest.approx(total)


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_the_text_feature_of_a_bag_of_words_is_projected_from_the_mean_of_its_words(projection):
    model = tiny("contrastive_bow", projection=projection).eval()
    assert set(model.heads) == ({"image", "text"} if projection == "mlp" else set())
    texts = ["red", "red round", "red red house", ""]
    found = model.encode_text(TOKENIZER(texts))
    for row, text in zip(found, texts):
        words = model.token_embedding.weight[TOKENIZER.encode(text)]
        mean = words.mean(0) if text else torch.zeros(64)  # nothing is no word, and no 0 / 0
        wanted = mean @ model.text_projection
        if projection == "mlp":
            last = model.heads["text"][1]
            wanted = last.weight @ wanted.relu() + last.bias
        assert torch.allclose(row, wanted, atol=1e-5), text


def test_the_targets_of_a_bag_of_words_are_k_hot():
    """Against the cross-entropy with targets that are written out; a word twice counts once."""
    model = tiny("bag_of_words").double().eval()
    tokens = TOKENIZER(["red red house", "cup"], trim=True)
    features = model.encode_image(pictures(2).double())
    red, house, cup = (TOKENIZER.encode(word)[0] for word in ("red", "house", "cup"))
    wanted = torch.stack([-(features[0, red] + features[0, house]) / 2, -features[1, cup]])
    assert torch.allclose(model.pair_losses(features, tokens), wanted)
    assert torch.allclose(features.exp().sum(1), torch.ones(2), atol=1e-5)


def by_loops(model, raw, texts):
    """-log P of a text by Jelinek and Mercer's mixture, as the docstring of Ngrams says it: from the
    scores (N, K) of words and n-grams, and the words of texts, whose n-grams are counted here."""
    grams = [[]] * 2
    for n in (2, 3):
        seen = [tuple(t[i : i + n]) for t in texts for i in range(len(t) - n + 1)]
        grams[n - 2] = sorted({gram for gram in seen if seen.count(gram) >= FEWEST})
    rows, V = {(w,): w for w in range(model.config["vocab_size"])}, model.config["vocab_size"]
    rows |= {gram: V + k for k, gram in enumerate(grams[0] + grams[1])}
    assert model.config["ngrams"] == [len(grams[0]), len(grams[1])]

    def softmax(scores, row, among):
        return math.exp(scores[row]) / sum(math.exp(scores[other]) for other in among)

    for scores, text in zip(raw.tolist(), texts):
        total = 0.0
        for i, word in enumerate(text):
            p = softmax(scores, word, range(V))
            for n in (2, 3):
                before = tuple(text[max(0, i - n + 1) : i])
                same = [g for g in grams[n - 2] if g[:-1] == before and len(before) == n - 1]
                if same:
                    gram = (*before, word)
                    own = (
                        softmax(scores, rows[gram], [rows[g] for g in same]) if gram in same else 0
                    )
                    p = ngrams.SHARE * own + (1 - ngrams.SHARE) * p
            total -= math.log(p)
        yield total


@pytest.mark.parametrize("vocabulary", [2, 4, 40])
def test_the_loss_of_ngrams_is_the_mixture_that_loops_give(vocabulary):
    """With words of the ids 0 and 1, of many n-grams, of one and of none (40 words, 40 texts)."""
    g = torch.Generator().manual_seed(vocabulary)
    start, end = vocabulary, vocabulary + 1
    texts = [
        torch.randint(0, vocabulary, (n,), generator=g).tolist() for n in (1, 2, 3, 5, 6, 0, 4) * 3
    ]
    width = 8
    tokens = torch.tensor([[start, *t, end, *[0] * (width - 2 - len(t))] for t in texts])
    torch.manual_seed(0)
    model = create("ngrams", "rn_icons_xs", **TINY | dict(vocab_size=vocabulary + 2)).eval()
    assert model.config["ngrams"] == [0, 0]
    images = pictures(len(texts))
    for learned in (False, True):
        if learned:
            model.learn_dictionary(tokens, FEWEST)
        with torch.no_grad():
            model.ngrams.weight.mul_(3)
            raw = model.ngrams(model.visual(images)).double()
            found = model.pair_losses(model.encode_image(images), tokens)
        wanted = list(by_loops(model, raw, texts if learned else [[]] * len(texts)))
        if not learned:
            log_p = raw.log_softmax(1)
            wanted = [-sum(log_p[i, w].item() for w in text) for i, text in enumerate(texts)]
        assert found.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_large_scores_of_ngrams_do_not_overflow():
    x, group = torch.tensor([[200.0, 200.0, -300.0]]), torch.tensor([2, 2, 0])
    log_p = ngrams.softmax_of_groups(x, group, 3)
    assert log_p[0].tolist() == pytest.approx([-math.log(2), -math.log(2), 0])


@pytest.mark.parametrize("objective", APART)
def test_padding_changes_no_loss_and_the_mean_is_that_of_the_batch(objective):
    model, images = tiny(objective).eval(), pictures(4)
    texts = ["red round house", "cup", "tall tree", "blue thin car"]
    trimmed, whole = TOKENIZER(texts, trim=True), TOKENIZER(texts)
    with torch.no_grad():
        losses = model(images, trimmed)
        assert torch.allclose(losses, model(images, whole), atol=1e-5)
        assert losses.shape == (4,)
        assert model.batch_loss(images, whole).item() == pytest.approx(losses.mean().item(), 1e-5)


@pytest.mark.parametrize("text", ["", "red", "red round house"])
@torch.no_grad()
def test_a_caption_is_read_word_by_word_and_the_probabilities_of_what_follows_sum_to_one(text):
    model, tokens = tiny("captioning").eval(), TOKENIZER([text], trim=True)
    features, V, total = model.encode_image(pictures(1)), TOKENIZER.vocab_size, 0
    for i in range(1, tokens.shape[1]):
        x = model.read(features, model.token_embedding(tokens[:, :i]))[:, -1]
        losses = model.log_losses(x.expand(V, -1), torch.arange(V))
        assert (-losses).exp().sum().item() == pytest.approx(1, abs=1e-5)
        total += losses[tokens[0, i]].item()
    assert model.pair_losses(features, tokens).item() == pytest.approx(total, abs=1e-5)


def test_a_masked_word_is_not_read_and_the_others_are():
    model = tiny("masked_words").eval()
    rows = TOKENIZER(["red round house", "red tall house", "red round cup"], trim=True)
    features, second = model.encode_image(pictures(1)).expand(3, -1), torch.tensor([1, 1, 1])
    with torch.no_grad():
        text = model.token_embedding(rows)
        text[:, 2] = model.mask_embedding
        x = model.read(features, text)[:, -1]
        by_hand = model.log_losses(x, rows[:, 2])
    found = model.masked_losses(features, rows, second)
    assert torch.allclose(found, by_hand, atol=1e-5)
    assert torch.allclose(x[0], x[1], atol=1e-6), "the masked word itself was read"
    assert not torch.allclose(x[0], x[2], atol=1e-4), "a later word was not read"


def test_the_masked_words_take_turns_and_a_name_is_scored_by_all():
    model, images = tiny("masked_words"), pictures(1)
    tokens = TOKENIZER(["red round house"], trim=True)
    model.eval()
    with torch.no_grad():
        features = model.encode_image(images)
        turn = [torch.tensor([k]) for k in (0, 1, 2, 3, 4, 99)]
        each = [model.masked_losses(features, tokens, k).item() for k in turn]
        assert each[3:] == [0, 0, 0]  # there is no fourth word
        assert model.pair_losses(features, TOKENIZER([""], trim=True)).item() == 0
        assert model.pair_losses(features, tokens).item() == pytest.approx(sum(each), rel=1e-5)
        model.train()
        turns = [model.pair_losses(features, tokens).item() for _ in range(3)]
    assert turns == pytest.approx(each[:3]) and model.turn == 3


@pytest.mark.parametrize("objective", APART)
def test_the_score_of_a_name_is_its_loss_with_the_other_sign(objective):
    model, names = tiny(objective).eval(), ["red round house", "cup", "tall tree"]
    templates = ["{}", "blue {}"]
    with torch.no_grad():
        features = model.encode_image(pictures(5))
        scores = model.train().name_scores(features, TOKENIZER, names, templates)
        assert scores.shape == (5, 3) and model.training
        assert model.eval().name_scores(torch.zeros(0, 9), TOKENIZER, names, ["{}"]).shape == (0, 3)
        for k, name in enumerate(names):
            texts = TOKENIZER([t.replace("{}", name) for t in templates])
            by_hand = -sum(model.pair_losses(features, t.expand(5, -1)) for t in texts) / 2
            assert torch.allclose(scores[:, k], by_hand, atol=1e-4)
    # it would have the highest score of all; two names that are cut could be the same text
    for name, says in (("\u200b", "has no words"), ("cup " * 20, "make it shorter")):
        must_refuse(says, model.name_scores, features, TOKENIZER, ["cup", name], ["{}"])


@pytest.mark.parametrize("objective", NAMES)
def test_the_picture_tower_starts_as_that_of_clip(objective):
    torch.manual_seed(0)
    clip = create_model("rn_icons_xs", **TINY)
    own = tiny(objective, texts=()).visual.state_dict()
    same = clip.visual.state_dict()
    assert own and all(torch.equal(x, same[name]) for name, x in own.items())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_config_of_every_objective_may_stand_in_a_checkpoint(objective):
    check_numbers(tiny(objective).config)
