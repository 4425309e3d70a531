LERP = "torch.lerp(first, tuned[name], alpha)"
NEARER = "(first if alpha < 0.5 else tuned[name]).clone()"

MISTAKES = {
    "alpha of the other one": [
        (LERP, "torch.lerp(tuned[name], first, alpha)"),
        (NEARER, "(tuned[name] if alpha < 0.5 else first).clone()"),
    ],
    # not exact at 1, because the difference is rounded
    "one way only": [(LERP, "first + alpha * (tuned[name] - first)")],
    # exact at both ends, but not where the two agree
    "two products": [(LERP, "(1 - alpha) * first + alpha * tuned[name]")],
    "batch norms left as they were": [
        (LERP, f'first.clone() if "running" in name and alpha not in (0, 1) else {LERP}')
    ],
    "parameters only": [
        (
            "in start.items()",
            'in start.items() if not name.endswith(("mean", "var", "num_batches_tracked"))',
        )
    ],
    "counters become fractions": [
        (NEARER, "torch.lerp(first.float(), tuned[name].float(), alpha)")
    ],
    "counters averaged": [
        (NEARER, "torch.lerp(first.double(), tuned[name].double(), alpha).to(first.dtype)")
    ],
    "the scale is averaged instead of its logarithm": [
        (
            LERP,
            "torch.lerp(first.exp(), tuned[name].exp(), alpha).log()\n        "
            f'if name == "logit_scale" and alpha not in (0, 1)\n        else {LERP}',
        )
    ],
    "written into start": [(LERP, "first.lerp_(tuned[name], alpha)")],
    # the counters are the arguments' own memory
    "the ends themselves": [(NEARER, "(first if alpha < 0.5 else tuned[name])")],
}

HINTED = {
    "parameters only": "test_every_tensor_of_the_state_dict_is_there",
    "written into start": "test_neither_model_is_changed",
    "the ends themselves": "test_neither_model_is_changed",
    "counters become fractions": "test_counters_are_those_of_the_nearer_model",
    "counters averaged": "test_counters_are_those_of_the_nearer_model",
    "batch norms left as they were": "test_batch_norms_averages_are_averaged_as_weights_are",
    "the scale is averaged instead of its logarithm": (
        "test_the_scale_is_averaged_as_the_logarithm_that_is_stored"
    ),
    "one way only": "test_at_the_ends_it_is_exactly_one_of_the_two",
    "two products": "test_what_both_models_share_stays_the_same_to_the_bit",
}
KEYS = ["torch.lerp(", "if alpha < 0.5 else tuned[name]"]
