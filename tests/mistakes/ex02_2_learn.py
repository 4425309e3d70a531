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
