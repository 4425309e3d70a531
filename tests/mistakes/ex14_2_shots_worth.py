RESULT = "return reached(shots, [curve[k] for k in shots], zero_shot)"
FOUND = RESULT.replace("return", "found =")

MISTAKES = {
    "interpolated along k": [
        (
            RESULT,
            "found = reached(np.exp(shots), [curve[k] for k in shots], zero_shot)\n    "
            "return found and float(np.log(found))",
        )
    ],
    "the first number that is enough": [
        (RESULT, "return next((float(k) for k in shots if curve[k] >= zero_shot), None)")
    ],
    "the logarithm is never undone": [(RESULT, FOUND + "\n    return found and np.log(found)")],
    "measured from the upper end": [
        (
            RESULT,
            FOUND + "\n    "
            "if found is None:\n        "
            "return None\n    "
            "below, above = (k for k in shots if k <= found), (k for k in shots if k >= found)\n    "
            "return max(below) * min(above) / found",
        )
    ],
    "in the order of the dict": [("sorted(curve)", "list(curve)")],
    "the largest number where none is enough": [(RESULT, RESULT + " or float(shots[-1])")],
    "the last crossing": [
        (
            RESULT,
            "less = [i for i, k in enumerate(shots) if curve[k] < zero_shot]\n    "
            "shots = shots[less[-1] :] if less else shots\n    " + RESULT,
        )
    ],
    "none where the first number is enough": [
        (RESULT, "if curve[shots[0]] >= zero_shot:\n        return None\n    " + RESULT)
    ],
    "a line through all numbers": [
        (
            RESULT,
            "slope, start = np.polyfit(np.log(shots), [curve[k] for k in shots], 1)\n    "
            "enough = zero_shot <= max(curve.values())\n    "
            "return float(np.exp((zero_shot - start) / slope)) if enough else None",
        )
    ],
}

HINTED = {
    "none where the first number is enough": (
        "test_where_the_first_number_is_enough_it_is_the_answer"
    ),
    "the logarithm is never undone": (
        "test_a_number_that_was_tried_is_found_where_it_equals_zero_shot"
    ),
    "interpolated along k": "test_between_two_numbers_log_k_grows_in_step_with_accuracy",
    "the first number that is enough": "test_between_two_numbers_log_k_grows_in_step_with_accuracy",
    "measured from the upper end": "test_between_two_numbers_log_k_grows_in_step_with_accuracy",
    "the largest number where none is enough": "test_more_than_were_tried_is_none",
    "the last crossing": "test_of_several_crossings_it_is_the_first",
    "in the order of the dict": "test_the_order_of_the_dict_does_not_matter",
}
KEYS = ["reached(shots,", "(b / a) ** share"]
