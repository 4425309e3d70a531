NEXT = "count, pair = heapq.heappop(heap)"

MISTAKES = {
    "how often a word occurs is ignored": [
        ("words = [(list(symbols), count)", "words = [(list(symbols), 1)")
    ],
    "ties go to the pair seen first": [
        (
            NEXT,
            "count, pair = min(heap, key=lambda e: (e[0], list(counts).index(e[1])))\n        "
            "heap.remove((count, pair))",
        )
    ],
    "ties go to the largest pair": [
        (
            NEXT,
            "count, pair = max(heap, key=lambda e: (-e[0], e[1]))\n        "
            "heap.remove((count, pair))",
        )
    ],
    "what occurs once is learned": [("count > -2", "count > -1")],
    "nothing is joined so only bytes are paired": [
        ("for index in where.pop(pair):", "for index in ():")
    ],
    "ids start at zero": [("new = first + len(merges)", "new = len(merges)")],
    "one merge too many": [("len(merges) < n", "len(merges) <= n")],
    "the words are used up": [("in words.items()]", "in [words.popitem() for _ in list(words)]]")],
}

HINTED = {
    "ids start at zero": "test_ids_count_up_from_the_first",
    "the words are used up": "test_the_words_are_left_alone",
    "ties go to the pair seen first": "test_the_order_of_the_words_is_of_no_consequence",
    "how often a word occurs is ignored": "test_the_words_of_the_paper_s_algorithm_1",
    "what occurs once is learned": "test_it_ends_when_no_pair_occurs_twice_and_not_before",
}
KEYS = ["(-pairs[pair], pair)", "first + len(merges)"]
