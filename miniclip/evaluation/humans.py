"""People against CLIP on Oxford-IIIT Pets (CLIP, section 4, table 2): the paper's figures as data.

Five people saw all 3,669 pictures of the test split and named one of 37 breeds, or said that they did
not know; with no example of each breed, with one, and with two. One example helped them a good deal
and a second hardly: people know what they do not know, and few-shot probes do not use that.
Figures are transcribed from the paper; the quiz (human_comparison.py) puts the reader in the same chair.
"""

PICTURES, CLASSES, PEOPLE = 3669, 37, 5
# percent: accuracy, of the majority vote, on what was not "I don't know", of the vote on those
TABLE_2 = {
    "zero-shot human": (53.7, 57.0, 69.7, 63.9),
    "zero-shot CLIP": (93.5, 93.5, 93.5, 93.5),
    "one-shot human": (75.7, 80.3, 78.5, 81.2),
    "two-shot human": (75.7, 85.0, 79.2, 86.1),
}
COLUMNS = ("accuracy", "majority vote", "accuracy on guesses", "majority vote on guesses")
