CROSS_ENTROPY = 'F.binary_cross_entropy_with_logits(features, words, reduction="none")'

MISTAKES = {
    "start and end are words": [("is_word(tokens)", "(tokens >= 0)")],
    "the end is a word": [
        ("is_word(tokens)", "(is_word(tokens) | (tokens == tokens.amax(1, keepdim=True)))")
    ],
    "words said twice count twice": [("times.clamp(max=1)", "times")],
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
