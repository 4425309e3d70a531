MISTAKES = {
    "the leftmost pair first": [("merges.get(pair, math.inf)", "pair not in merges")],
    "the latest merge first": [("min(", "max("), ("math.inf", "-1")],
    "one merge and no more": [("symbols = merge(", "return merge(")],
    "a word of one id is an error": [("len(symbols) > 1", "True")],
}

HINTED = {
    "a word of one id is an error": "test_nothing_and_a_single_id_stay_as_they_are",
    "one merge and no more": "test_nothing_is_left_to_join",
    "the leftmost pair first": "test_what_was_learned_first_goes_first_wherever_it_stands",
    "the latest merge first": "test_what_was_learned_first_goes_first_wherever_it_stands",
}
KEYS = ["merges.get(pair", "min(zip(symbols", "if pair not in merges"]
