"""No name twice in a batch, wherever the pictures of a name are few enough."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniclip.data.icons.icons import Icons
from miniclip.data.loader import batches, epoch_order, with_unique_names
from tests.data.icons import fontawesome, made_up
from tests.data.tars import letters, texts_of

LETTERS = st.frozensets(st.sampled_from("abcdefghijkl"), min_size=1, max_size=2)
OWNED = st.lists(LETTERS, min_size=1, max_size=40)


def repeated(batch, own):
    """The names that more than one picture of a batch has."""
    counts = collections.Counter(name for i in batch for name in own[i])
    return {name for name, n in counts.items() if n > 1}


def arranged(own, size, seed=0):
    """The batches for pictures 100, 101, ... of these names: (batches, {picture: names})."""
    own = {100 + i: tuple(names) for i, names in enumerate(own)}
    rng = np.random.default_rng(seed)
    found = with_unique_names(np.array([*own]), size, own.__getitem__, rng)
    assert found.shape == (len(own) // size, size) and found.dtype == np.int64
    return found.tolist(), own


@given(OWNED, st.integers(1, 12), st.integers(0, 2**32))
def test_every_picture_comes_once_at_most_and_there_are_as_many_batches_as_before(own, size, seed):
    found, own = arranged(own, min(size, len(own)), seed)
    taken = [i for batch in found for i in batch]
    assert len(taken) == len(set(taken)) and set(taken) <= set(own)


@given(OWNED, st.integers(1, 12), st.integers(0, 2**32))
def test_no_name_comes_twice_in_a_batch_where_there_is_room(own, size, seed):
    """A picture finds a batch as long as those that are full and those that have one of its names
    are fewer than all; frequent names come first."""
    size = min(size, len(own))
    frequency = collections.Counter(name for names in own for name in names)
    count, order = len(own) // size, sorted(own, key=lambda n: -max(frequency[x] for x in n))
    room = all(
        place // size + sum(frequency[name] - 1 for name in names) < count
        for place, names in enumerate(order[: count * size])
    )
    found, own = arranged(own, size, seed)
    if room:
        assert not any(repeated(batch, own) for batch in found), found


@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 2**32))
def test_a_name_of_as_many_pictures_as_batches_is_in_each_of_them_once(count, size, seed):
    own = [(f"alone {i}",) for i in range(count * (size - 1))] + [("frequent",)] * count
    found, own = arranged(own, size, seed)
    assert all(sum(own[i] == ("frequent",) for i in batch) == 1 for batch in found)
    assert sorted(i for batch in found for i in batch) == sorted(own)  # and nothing is left out


@given(st.integers(2, 5), st.integers(2, 6), st.integers(1, 5), st.integers(0, 2**32))
def test_a_name_of_more_pictures_than_batches_meets_itself_and_the_batches_are_full(
    count, size, more, seed
):
    others = max(0, count * size - count - more)
    own = [("frequent",)] * (count + more) + [(f"alone {i}",) for i in range(others)]
    found, own = arranged(own, size, seed)
    assert all(len(set(batch)) == size for batch in found)
    # it does so only where no other picture is left
    extra = sum(sum(own[i] == ("frequent",) for i in batch) - 1 for batch in found)
    assert extra == max(0, len(found) * size - others - len(found))


@given(st.integers(0, 2**40), st.integers(0, 1000))
def test_the_order_is_a_function_of_seed_and_epoch(seed, epoch):
    def order(*when):
        return epoch_order(range(60), 8, *when, names=lambda i: (str(i // 3),)).tolist()

    assert order(seed, epoch) == order(seed, epoch)
    assert order(seed, epoch) != order(seed + 1, epoch) != order(seed + 1, epoch + 1)


def test_pictures_meet_others_in_each_epoch():
    """Else the negatives of a picture would always be the same ones."""
    met = collections.Counter()
    for epoch in range(300):
        for batch in epoch_order(range(12), 4, 0, epoch, names=lambda i: (str(i),)).tolist():
            met.update((a, b) for a in batch for b in batch if a < b)
    # 66 pairs, each together in 3 of 11 epochs by chance: 82, deviation 7.7; 5 deviations
    assert len(met) == 66 and all(abs(n - 900 / 11) < 39 for n in met.values()), met


@pytest.mark.parametrize("unique_names", [True, False])
def test_the_loader_has_no_name_of_font_awesome_twice_in_a_batch_if_asked(unique_names):
    captions, inks = zip(*fontawesome())
    owned = [[("fontawesome", *caption) for caption in own] for own in captions]
    pairs, indices = Icons(drawn=(owned, np.stack(inks))), range(len(owned))
    loaded = batches(pairs, indices, letters, 256, 0, 8, None, unique_names=unique_names)
    meetings = 0
    for _ in range(len(indices) // 256):
        ((_, tokens),) = next(loaded).parts
        names = [text.removesuffix(" regular") for text in texts_of(tokens)]
        meetings += len(names) - len(set(names))
    assert (meetings == 0) == unique_names, meetings


def test_pairs_without_names_of_their_own_are_told_apart_by_their_captions():
    pairs = Icons(drawn=made_up([[("remix", "home", "fill")], [("eva", "home", "outline")]]))
    assert pairs.names(0) == pairs.names(1) == ("home",)
    assert super(Icons, pairs).names(0) == ("home fill",)
