"""What every source of pairs offers: some of them, queries, hashes, and names that can be printed."""

import argparse
import hashlib

import numpy as np
import pytest

from miniclip.data.dataset import (
    LIST_COLUMNS,
    Pairs,
    is_held_out,
    keep_pairs,
    printable,
    some_pairs,
    text_hash,
)
from tests.shared import must_refuse


def pairs_of(count):
    return Pairs("x", [(f"name {i}", "another") for i in range(count)], {"train": [*range(count)]})


# --- some of the training pairs


@pytest.mark.parametrize("kept", [1, 3, 9, 10, 11, None])
def test_as_many_pairs_are_kept_as_asked_for_in_order_and_always_the_same(kept):
    pairs = pairs_of(10)
    pairs.splits["train"] = backwards = [*range(10)][::-1]
    keep_pairs(pairs, kept)
    drawn = np.random.default_rng((0, 0)).permutation(backwards)[:kept]
    want = sorted(drawn) if kept in (1, 3, 9) else backwards
    assert pairs.splits["train"] == want


def test_pairs_are_a_number_from_one_on_or_as_before_a_list_that_is_there(tmp_path):
    (tmp_path / "list.csv").write_text("")
    assert some_pairs("1") == 1 and some_pairs(str(tmp_path / "list.csv")) == str(
        tmp_path / "list.csv"
    )
    for wrong in ("0", "nowhere.csv"):
        with pytest.raises(argparse.ArgumentTypeError, match="of at least 1"):
            some_pairs(wrong)


def test_of_a_long_list_some_names_are_compared(tmp_path):
    rows = [",".join(LIST_COLUMNS), *(f"{i},name {i},name" for i in range(1501)), ""]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    keep_pairs(pairs := pairs_of(2000), str(tmp_path / "list.csv"))
    assert pairs.splits["train"] == [*range(1501)]
    for wrong in (0, 999, 1100, 1500):
        changed = "\n".join(rows).replace(f"{wrong},name {wrong},", f"{wrong},name x,")
        (tmp_path / "list.csv").write_text(changed)
        must_refuse("does not fit", keep_pairs, pairs_of(2000), str(tmp_path / "list.csv"))


# --- queries and hashes


@pytest.mark.parametrize("count, chosen", [(0, []), (1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (9, [0, 3, 6])])  # fmt: skip
def test_queries_are_the_first_captions_of_pairs_spread_over_the_split(count, chosen):
    pairs = pairs_of(20)
    pairs.splits["some"] = [2 * i for i in range(count)]
    texts, answers = pairs.queries("some", 3)
    assert answers == [2 * i for i in chosen] and texts == [f"name {i}" for i in answers]
    assert len(pairs.queries("train")[1]) == 8
    assert pairs.where(3) == "name 3" and {
        pairs.caption(3, np.random.default_rng(k)) for k in range(9)
    } == {"name 3", "another"}


def test_a_hash_is_the_first_8_bytes_of_sha_256_and_every_tenth_is_held_out():
    assert text_hash("") == 0xE3B0C44298FC1C14  # FIPS 180-4's digest of nothing
    for text in ("a", "\udc80", *map(str, range(40))):
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        assert text_hash(text) == int(digest[:16], 16)
        assert is_held_out(text) == (int(digest[:16], 16) % 10 == 0)


# --- what is printed


@pytest.mark.parametrize(
    "text, size, printed",
    [
        ("a" * 80, 80, "a" * 80),
        ("a" * 40 + "b" * 41, 80, "a" * 38 + " ... " + "b" * 37),
        ("0123456789" * 3, 20, "01234567 ... 3456789"),
        ("a\nb\x1b[2J\udc80é", 80, r"a\nb\x1b[2J\udc80é"),
    ],
)
def test_a_long_text_keeps_its_beginning_and_its_end(text, size, printed):
    assert printable(text, size) == printed
