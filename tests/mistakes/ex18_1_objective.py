CROSS_ENTROPY = 'F.binary_cross_entropy_with_logits(features, words, reduction="none")'

MISTAKES = {
    "start and end are words": [("is_word(tokens)", "(tokens >= 0)")],
    "the end is a word": [
        ("is_word(tokens)", "(is_word(tokens) | (tokens == tokens.amax(1, keepdim=True)))")
    ],
    "words said twice count twice": [("times.clamp(max=1)", "times")],
    "the padding overwrites a word": [("scatter_add_(", "scatter_(")],
    "absent words are left out": [("losses.sum(1)", "(losses * words).sum(1)")],
    "the mean over the vocabulary": [("losses.sum(1)", "losses.mean(1)")],
    "a softmax over words": [(CROSS_ENTROPY, "-features.log_softmax(1) * words")],
    "the log of a probability": [
        (
            CROSS_ENTROPY,
            "-words * features.sigmoid().log() - (1 - words) * (1 - features.sigmoid()).log()",
        )
    ],
    "the mean of the batch": [("losses.sum(1)", "losses.sum(1).mean().expand(len(tokens))")],
    "yes and no are swapped": [("with_logits(features", "with_logits(-features")],
}

HINTED = {
    "the mean of the batch": "test_each_pair_has_its_own_loss",
    "start and end are words": "test_order_repetition_and_padding_do_not_count",
    "words said twice count twice": "test_order_repetition_and_padding_do_not_count",
    "the padding overwrites a word": "test_a_word_with_the_id_of_the_padding_is_a_word",
    "the end is a word": "test_a_sure_yes_to_what_is_no_word_of_the_caption_costs",
    "absent words are left out": "test_a_sure_yes_to_what_is_no_word_of_the_caption_costs",
    "the log of a probability": (
        "test_sure_and_right_answers_cost_nothing_and_sure_wrong_ones_no_infinity"
    ),
    "the mean over the vocabulary": "test_it_is_the_sum_over_all_words_of_the_vocabulary",
}
KEYS = ["binary_cross_entropy_with_logits(", "scatter_add_(1, tokens"]
