SUM = "forward = image + text"  # before this line, formulas change what torch has counted
PATCHES = '(side // config["vision_patch"]) ** 2'
IN_PICTURES = f'config["vision_layers"] * config["vision_width"] * ({PATCHES} + 1) ** 2'
IN_TEXTS = 'config["text_layers"] * config["text_width"] * length**2'

MISTAKES = {
    "counts multiplications only": [
        (SUM, "image, text, backward = image // 2, text // 2, backward // 2\n    " + SUM)
    ],
    "forgets the class token": [
        (
            SUM,
            f'width, tokens = config["vision_width"], 2 * {PATCHES} + 1\n    '
            'image -= 4 * config["vision_layers"] * width * (6 * width + tokens)\n    ' + SUM,
        )
    ],
    "forgets the products of attention": [
        (SUM, f"image -= 4 * {IN_PICTURES}\n    text -= 4 * {IN_TEXTS}\n    {SUM}")
    ],
    "counts one of the products of attention": [
        (SUM, f"image -= 2 * {IN_PICTURES}\n    text -= 2 * {IN_TEXTS}\n    {SUM}")
    ],
    "halves causal attention": [(SUM, f"text -= 2 * {IN_TEXTS}\n    {SUM}")],
    "projects every token": [
        (
            SUM,
            f'image += 2 * {PATCHES} * config["vision_width"] * config["embed_dim"]\n    '
            f'text += 2 * (length - 1) * config["text_width"] * config["embed_dim"]\n    {SUM}',
        )
    ],
    "takes the picture's width for the text": [
        ("config | {", 'config | {"text_width": config["vision_width"], ')
    ],
    "ignores the length": [('length or config["context_length"]', 'config["context_length"]')],
    "takes the backward pass to be twice the forward": [
        ("backward=backward", "backward=2 * forward")
    ],
    "computes the patches again": [("recompute=recompute", "recompute=forward")],
}

HINTED = {
    "counts multiplications only": "test_towers_without_blocks",
    "projects every token": "test_towers_without_blocks",
    "forgets the class token": "test_one_block_more",
    "halves causal attention": "test_one_block_more",
    "takes the picture's width for the text": "test_a_picture",
    "ignores the length": "test_a_shorter_text",
    "takes the backward pass to be twice the forward": "test_the_backward_pass",
    "computes the patches again": "test_what_is_computed_again",
}
# The answer by hand, which no file of the library holds.
KEYS = ["2 * width * embed_dim", "patches + 1", "24 * L * D**2", "2 * forward - (flop"]
