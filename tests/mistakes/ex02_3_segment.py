"""Plausible wrong ways to encode a word."""

import math

from miniclip.bpe.merges import merge as _merge


def the_leftmost_pair_first(symbols, merges):
    while True:
        pair = next((pair for pair in zip(symbols, symbols[1:]) if pair in merges), None)
        if pair is None:
            return symbols
        symbols = _merge(symbols, pair, merges[pair])


def the_latest_merge_first(symbols, merges):
    while len(symbols) > 1:
        pair = max(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, -1))
        if pair not in merges:
            break
        symbols = _merge(symbols, pair, merges[pair])
    return symbols


def one_merge_and_no_more(symbols, merges):
    if len(symbols) > 1:
        pair = min(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, math.inf))
        if pair in merges:
            return _merge(symbols, pair, merges[pair])
    return symbols


def a_word_of_one_id_is_an_error(symbols, merges):
    while True:
        pair = min(zip(symbols, symbols[1:]), key=lambda pair: merges.get(pair, math.inf))
        if pair not in merges:
            return symbols
        symbols = _merge(symbols, pair, merges[pair])


def the_longest_entry_from_the_left(symbols, merges):
    spelled = {}
    for (left, right), new in merges.items():
        spelled[new] = spelled.get(left, (left,)) + spelled.get(right, (right,))
    entries = {piece: new for new, piece in spelled.items()}
    out, i = [], 0
    while i < len(symbols):
        for j in range(len(symbols), i, -1):
            piece = tuple(symbols[i:j])
            if piece in entries or j == i + 1:
                out.append(entries.get(piece, symbols[i]))
                i = j
                break
    return out
