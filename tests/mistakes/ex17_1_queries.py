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
