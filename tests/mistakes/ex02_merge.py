"""Plausible wrong ways to join a pair."""


def only_the_first_occurrence(symbols, pair, new):
    for i in range(len(symbols) - 1):
        if (symbols[i], symbols[i + 1]) == pair:
            return [*symbols[:i], new, *symbols[i + 2 :]]
    return list(symbols)


def from_the_right(symbols, pair, new):
    out, i = [], len(symbols) - 1
    while i >= 0:
        found = i > 0 and (symbols[i - 1], symbols[i]) == pair
        out.append(new if found else symbols[i])
        i -= 2 if found else 1
    return out[::-1]


def overlapping_pairs_are_all_joined(symbols, pair, new):
    out = []
    for i, symbol in enumerate(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            out.append(new)
        elif i == 0 or tuple(symbols[i - 1 : i + 1]) != pair:
            out.append(symbol)
    return out


def the_last_id_is_forgotten(symbols, pair, new):
    out, i = [], 0
    while i < len(symbols) - 1:
        found = (symbols[i], symbols[i + 1]) == pair
        out.append(new if found else symbols[i])
        i += 2 if found else 1
    return out


def in_place(symbols, pair, new):
    i = 0
    while i < len(symbols) - 1:
        if (symbols[i], symbols[i + 1]) == pair:
            symbols[i : i + 2] = [new]
        i += 1
    return symbols
