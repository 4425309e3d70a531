MISTAKES = {
    "the largest similarity goes to one": [(" - (124 - room)", "")],
    "leaves no room for the sum": [("(124 - room)", "124")],
    "the floor forgets the count": [("2.0 ** (room - 102)", "2.0**-102")],
    "anything but zero is trusted": [("2.0 ** (room - 102)", "2.0**-126")],
    "the shift has a fraction": [("scale_log2.floor()", "scale_log2")],
    "one pair is not taken as two": [("max(count, 2)", "count")],
    "the floor is higher than it must be": [("room - 102", "room - 60")],
}
