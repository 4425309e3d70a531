START = "raw = getattr("
FIRST_PASS = "with torch.no_grad(), frozen_bn_stats(raw)"
SECOND_PASS = "no_sync = getattr("
SPLIT = "d_image.split(sizes), d_text.split(sizes)"

MISTAKES = {
    "accumulates the parts": [
        (
            "loss = loss_fn(image, text, logit_scale)",
            "split = zip(image.split(sizes), text.split(sizes))\n    "
            "loss = sum(loss_fn(*part, logit_scale) for part in split) / len(parts)",
        )
    ],
    "the scale learns nothing": [("if last:", "if False:")],
    "adds the scale's gradient by hand": [
        (
            "outputs, grads = [*outputs, scale.log()], [*grads, d_scale]",
            "before = raw.logit_scale.grad\n                "
            "raw.logit_scale.grad = d_scale if before is None else before + d_scale",
        )
    ],
    "the scale's gradient comes with the first part": [("if last:", "if k == 0:")],
    "pulls the first part's gradients everywhere": [
        (SPLIT, "[d_image[: sizes[0]]] * len(parts), [d_text[: sizes[0]]] * len(parts)")
    ],
    "averages over the parts": [
        (
            SECOND_PASS,
            "d_image, d_text = d_image / len(parts), d_text / len(parts)\n    " + SECOND_PASS,
        )
    ],
    "batch norm counts twice": [(FIRST_PASS, "with torch.no_grad()")],
    "keeps all graphs in the first pass": [(FIRST_PASS, "with frozen_bn_stats(raw)")],
    "ranks average at every part": [(" if last else no_sync()", "")],
    "forgets what was there": [(SECOND_PASS, "raw.zero_grad()\n    " + SECOND_PASS)],
    "takes all parts to be as large as the first": [
        (SPLIT, "d_image.split(sizes[0]), d_text.split(sizes[0])")
    ],
    "prepares all parts at once": [
        (
            FIRST_PASS,
            "parts = [tuple(prepare(part)) for part in parts]\n    "
            "prepare = tuple\n    " + FIRST_PASS,
        )
    ],
    "one autocast around everything": [
        (
            START,
            "if autocast is not contextlib.nullcontext:\n        "
            "with autocast():\n            "
            "return microbatch_step(model, parts, loss_fn, prepare)\n    " + START,
        )
    ],
    "no autocast": [("with autocast():", "with contextlib.nullcontext():")],
}

HINTED = {
    "accumulates the parts": "test_the_loss_is_that_of_the_whole_batch",
    "the scale learns nothing": "test_every_parameter_gets_a_gradient",
    "pulls the first part's gradients everywhere": "test_the_gradients_are_those_of_the_whole_batch",
    "averages over the parts": "test_the_gradients_are_those_of_the_whole_batch",
    "takes all parts to be as large as the first": "test_parts_may_have_different_sizes",
    "forgets what was there": "test_gradients_are_added_to_those_that_are_there",
    "keeps all graphs in the first pass": (
        "test_one_part_at_a_time_and_features_first_without_gradients"
    ),
    "ranks average at every part": "test_ranks_average_once_at_the_last_part",
    "adds the scale's gradient by hand": (
        "test_the_scale_s_gradient_goes_through_the_last_part_s_output"
    ),
    "prepares all parts at once": "test_each_part_is_prepared_just_before_its_forward_pass",
    "no autocast": "test_autocast_is_open_in_each_forward_pass_and_nowhere_else",
    "batch norm counts twice": "test_batch_norm_counts_each_part_once",
}
KEYS = ["scale.log()", "d_image.split(sizes)", "torch.no_grad(), frozen_bn_stats"]
