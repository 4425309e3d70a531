MISTAKES = {
    "the natural logarithm": [("math.log2", "math.log")],
    "the number of pairs is forgotten": [("n * pairs /", "n /")],
    "only the rarer word is looked at": [
        ("(counts[parts[0]] * counts[parts[1]])", "min(counts[parts[0]], counts[parts[1]]) ** 2")
    ],
    "a bigram may be rare": [(" or n < min_count or", " or")],
    "every frequent bigram is a query": [(">= min_pmi", "> -math.inf")],
    "more than the limit is needed": [(">= min_pmi", "> min_pmi")],
    "names must be frequent too": [("return key in names or ", "return ")],
    "names are ignored": [("if key in names or ", "if "), ("return key in names or ", "return ")],
    "names that nobody uses are queries": [
        ("filter(is_query, counts)", "{*filter(is_query, counts), *names}"),
        ("(counts[key], key))", "(counts.get(key, 0), key))"),
    ],
    "the most frequent first": [("(counts[key], key))", "(-counts[key], key))")],
    "ties in the order of the counts": [("(counts[key], key))", "counts[key])")],
    "by the alphabet alone": [(", key=lambda key: (counts[key], key)", "")],
    "a word has to be in more pairs than the limit": [("n >= min_count", "n > min_count")],
}

HINTED = {
    "a word has to be in more pairs than the limit": "test_a_word_is_a_query_from_min_count_pairs_on",
    "names must be frequent too": "test_names_of_the_list_are_queries_if_a_pair_has_them",
    "names that nobody uses are queries": "test_names_of_the_list_are_queries_if_a_pair_has_them",
    "the number of pairs is forgotten": "test_new_york_is_a_query_and_a_dog_is_none",
    "the natural logarithm": "test_new_york_is_a_query_and_a_dog_is_none",
    "more than the limit is needed": "test_the_limit_itself_is_enough",
    "a bigram may be rare": "test_a_bigram_needs_its_count_and_its_information",
    "the most frequent first": "test_the_rarest_come_first_then_the_alphabet_decides",
    "ties in the order of the counts": "test_the_rarest_come_first_then_the_alphabet_decides",
}
KEYS = ["n * pairs / (counts[", "filter(is_query, counts)", "(counts[key], key)"]
