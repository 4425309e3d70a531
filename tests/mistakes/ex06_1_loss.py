MISTAKES = {
    "features are not normalized": [
        ("image, text = F.normalize(image, dim=1), F.normalize(text, dim=1)", "")
    ],
    "the scale is not exponentiated": [("logit_scale.exp()", "logit_scale")],
    "divides by the scale": [
        ("logit_scale.exp() * image @ text.T", "image @ text.T / logit_scale.exp()")
    ],
    "only images choose": [("(by_image + by_text) / 2", "by_image")],
    "adds both directions": [("(by_image + by_text) / 2", "by_image + by_text")],
    "normalizes each dimension": [("image, dim=1", "image, dim=0"), ("text, dim=1", "text, dim=0")],
}

HINTED = {
    "adds both directions": "test_equal_features_have_a_loss_of_log_n",
    "features are not normalized": "test_the_length_of_a_feature_does_not_matter",
    "normalizes each dimension": "test_the_length_of_a_feature_does_not_matter",
    "the scale is not exponentiated": "test_perfect_pairs_have_the_loss_that_the_scale_leaves",
    "divides by the scale": "test_perfect_pairs_have_the_loss_that_the_scale_leaves",
    "only images choose": "test_swapping_the_towers_changes_nothing",
}
KEYS = [
    "logit_scale.exp() * image @ text.T",
    "F.cross_entropy(logits.T",
]
