MISTAKES = {
    "the largest similarity goes to one": [(" - (124 - room)", "")],
    "leaves no room for the sum": [("(124 - room)", "124")],
    "the floor forgets the count": [("2.0 ** (room - 102)", "2.0**-102")],
    "anything but zero is trusted": [("2.0 ** (room - 102)", "2.0**-126")],
    "the shift has a fraction": [("scale_log2.floor()", "scale_log2")],
    "one pair is not taken as two": [("max(count, 2)", "count")],
    "the floor is higher than it must be": [("room - 102", "room - 60")],
}

HINTED = {
    "leaves no room for the sum": "test_a_full_sum_of_perfect_matches_does_not_overflow",
    "the largest similarity goes to one": "test_the_top_of_the_range_is_used",
    "the floor forgets the count": "test_above_the_floor_flushed_elements_are_negligible",
    "anything but zero is trusted": "test_above_the_floor_flushed_elements_are_negligible",
    "the floor is higher than it must be": "test_the_floor_is_not_higher_than_it_must_be",
    "the shift has a fraction": "test_the_shift_is_a_whole_number",
    "one pair is not taken as two": "test_one_pair_is_as_two",
}
KEYS = ["124 - room", "room - 102", "scale_log2.floor()"]
