"""Plausible wrong answers to lessons/exercises/ex08_2_certificate.py."""

import math


def _room(count):
    return math.ceil(math.log2(max(count, 2)))


def the_largest_similarity_goes_to_one(scale_log2, count):
    return scale_log2.floor(), 2.0 ** (_room(count) - 102)


def leaves_no_room_for_the_sum(scale_log2, count):
    return scale_log2.floor() - 124, 2.0 ** (_room(count) - 102)


def the_floor_forgets_the_count(scale_log2, count):
    return scale_log2.floor() - (124 - _room(count)), 2.0**-102


def anything_but_zero_is_trusted(scale_log2, count):
    return scale_log2.floor() - (124 - _room(count)), 2.0**-126


def the_shift_has_a_fraction(scale_log2, count):
    return scale_log2 - (124 - _room(count)), 2.0 ** (_room(count) - 102)
