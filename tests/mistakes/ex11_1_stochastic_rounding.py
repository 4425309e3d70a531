MISTAKES = {
    "rounds to nearest": [("rounded.bfloat16()", "x.bfloat16()")],
    "cuts without noise": [(" + noise)", ")")],
    "tosses a coin whatever the distance": [
        ("2**16, x.shape", "2, x.shape"),
        (" + noise)", " + noise * 0xFFFF)"),
    ],
    "noise of half a unit": [("2**16, x.shape", "2**15, x.shape")],
    "one number for all": [("2**16, x.shape", "2**16, ()")],
    "forgets the generator": [("generator=generator", "generator=None")],
    # then the cast rounds to nearest again, so that values move that bfloat16 holds
    "leaves the cut to the cast": [(" & -(2**16)", "")],
    "turns NaN into numbers": [
        ("torch.where(x.isfinite(), bits.view(torch.float32), x)", "bits.view(torch.float32)")
    ],
    "noise relative to the value": [
        ("rounded.bfloat16()", "(x * (1 + (noise / 2**16 - 0.5) * 2**-6)).bfloat16()")
    ],
    "the shape is lost": [("rounded.bfloat16()", "rounded.bfloat16().flatten()")],
}

HINTED = {
    "leaves the cut to the cast": "test_what_bfloat16_holds_is_not_moved",
    "rounds to nearest": "test_a_number_between_two_neighbours_goes_to_both",
    "cuts without noise": "test_a_number_between_two_neighbours_goes_to_both",
    "one number for all": "test_a_number_between_two_neighbours_goes_to_both",
    "noise of half a unit": "test_the_mean_of_many_draws_is_the_value",
    "tosses a coin whatever the distance": "test_the_mean_of_many_draws_is_the_value",
    "forgets the generator": "test_the_noise_is_the_generator_s_and_the_global_one_is_not_used",
    "turns NaN into numbers": "test_infinities_and_nan_stay_what_they_are",
    "the shape is lost": "test_any_shape_comes_back",
}
KEYS = ["0, 2**16, x.shape", "+ noise) & -(2**16)", "torch.where(x.isfinite()"]
