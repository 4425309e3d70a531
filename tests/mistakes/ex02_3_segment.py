MISTAKES = {
    "the leftmost pair first": [("merges.get(pair, math.inf)", "pair not in merges")],
    "the latest merge first": [("min(", "max("), ("math.inf", "-1")],
    "one merge and no more": [("symbols = merge(", "return merge(")],
    "a word of one id is an error": [("len(symbols) > 1", "True")],
}
