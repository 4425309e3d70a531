"""12  The flop of a pair, by hand. Read lessons/12_cost.md, then make this file green.

    pytest lessons/exercises/ex12_1_flop.py -x

For ViTs only, and from the numbers of `config` alone: the library lets torch count, you need no model.
An entry of MODELS has image_size and vision_patch (pixels of a side), vision_layers and vision_width,
text_layers and text_width, embed_dim, context_length. Count the matrix products: the patch embedding
(a linear layer from the 3 x patch x patch numbers of a patch), the blocks, and the projections to
embed_dim. Looking up an embedding or a position is no product.
"""

import pytest

from miniclip import MODELS

ANSWER = "miniclip.cost.flop:flop_per_pair"


def flop_per_pair(config, length=None):
    """{'image', 'text', 'forward', 'backward', 'recompute'}: flop of one pair in both towers.

    config: a MODELS entry or model.config; length: tokens per text (None: the whole context).
    recompute: the most that --grad-checkpointing computes again, the forward pass without its first
    product. torch 2.13 skips the last product of a block as well, and so computes 0.68 of this for
    vit_l14.
    """
    raise NotImplementedError  # about 12 lines


MINI = MODELS[
    "vit_mini"
]  # 16 patches, width 128 and 4 layers; texts: 32 tokens, width 128, 2 layers
# counted by torch (2.13) as the models run
IMAGE = {"vit_mini": 30_509_056, "vit_b32": 8_817_623_040, "vit_l14": 162_025_537_536}
TEXT = {"vit_mini": 26_247_168, "vit_b32": 5_959_540_736, "vit_l14": 13_299_683_328}
BACKWARD = {"vit_mini": 110_366_720, "vit_b32": 29_323_116_544, "vit_l14": 350_342_160_384}
names = pytest.mark.parametrize("name", IMAGE)


def equal(got, want, what, read):
    assert got == want, (
        f"{what} takes {want:,} flop, but yours {got:,}, {got / want:.4f} of it: {read}"
    )


def test_towers_without_blocks():
    flop = flop_per_pair(MINI | dict(vision_layers=0, text_layers=0))
    read = "how many of its tokens are projected to embed_dim, and how many flop has a product?"
    equal(flop["text"], 32_768, "A text tower of no blocks", read)
    read = "which products are left without blocks?"
    equal(flop["image"], 3_178_496, "A picture tower of no blocks", read)


@pytest.mark.parametrize("key, more", [("image", 6_832_640), ("text", 13_107_200)])
def test_one_block_more(key, more):
    longer = MINI | dict(vision_layers=5, text_layers=3)
    got = flop_per_pair(longer)[key] - flop_per_pair(MINI)[key]
    read = "add up the lines for a block in section 'The flop of a block'. How many tokens has the tower?"
    equal(got, more, f"One block more in the {key} tower", read)


@names
def test_a_picture(name):
    read = "a part is missing, or belongs to another tower."
    equal(flop_per_pair(MODELS[name])["image"], IMAGE[name], f"A picture in {name}", read)


@names
def test_a_text(name):
    read = "a part is missing, or belongs to another tower."
    equal(flop_per_pair(MODELS[name])["text"], TEXT[name], f"A text in {name}", read)


def test_a_shorter_text():
    flop = flop_per_pair(MINI, 5)
    equal(flop["text"], 3_990_528, "A text of 5 tokens", "`length` replaces the context.")
    equal(flop["image"], IMAGE["vit_mini"], "Its picture", "`length` is that of the text.")


@names
def test_the_forward_pass_is_both_towers(name):
    flop = flop_per_pair(MODELS[name])
    equal(flop["forward"], IMAGE[name] + TEXT[name], f"Both towers of {name}", "add them.")


@names
def test_the_backward_pass(name):
    read = "how many products has it for each product of the forward pass? (section 'The flop of a pair')"
    equal(flop_per_pair(MODELS[name])["backward"], BACKWARD[name], f"The backward of {name}", read)


@names
def test_what_is_computed_again(name):
    flop, want = flop_per_pair(MODELS[name]), BACKWARD[name] - IMAGE[name] - TEXT[name]
    read = "the docstring says what is left out."
    equal(flop["recompute"], want, f"What {name} computes again", read)


# Shown when all laws are green: what the library does differently.


# The run prints these when you need them: at the second failure of a law, and after the last one.
HINTS = {
    "test_towers_without_blocks": (
        "Which products are left in a tower of no blocks, and how many flop is one multiplication with "
        "its addition?",
        "Two kinds are left: each patch is embedded, and one token of the tower is projected, not all "
        "of them. The product of (L, D) and (D, M) has 2 L D M flop (section 'The flop of a block').",
        "Projecting costs 2 * width * embed_dim. The pictures' tower has another 2 * patches * "
        "3 * patch**2 * width.",
    ),
    "test_one_block_more": (
        "Add up the five lines for a block on the page. How many tokens go through a block of each tower?",
        "The class token goes through the blocks as well, so the pictures' tower has one token more than "
        "patches. Of the texts' attention nothing is left out: what the mask hides is computed too.",
        "A block adds 24 * L * D**2 + 4 * L**2 * D, with L = patches + 1 for pictures and L = length "
        "for texts.",
    ),
    "test_a_picture": (
        "Which of the config's numbers are you using that the models do not share?",
        "The number of patches is the square of image_size // vision_patch, and the width and the depth "
        "are those of the pictures' tower. The message says how far you are from the count.",
        "2 * P * 3 * vision_patch**2 * D + vision_layers * block(P + 1, D) + 2 * D * embed_dim, with "
        "P = (image_size // vision_patch) ** 2 and D = vision_width.",
    ),
    "test_a_text": (
        "Which of the config's numbers are you using that the models do not share?",
        "The texts' tower has a width, a depth and a number of tokens of its own: text_width, "
        "text_layers and context_length. It embeds no patches.",
        "text_layers * block(length, D) + 2 * D * embed_dim, with D = text_width.",
    ),
    "test_a_shorter_text": (
        "What does your function do with its second argument?",
        "`length` replaces the context's length, for the texts' tower alone. None means the whole context.",
        'length = length or config["context_length"], before anything is counted.',
    ),
    "test_the_forward_pass_is_both_towers": (
        "Which two of your numbers make one forward pass?",
        "A pair is one picture and one text, so its forward pass is the sum of the two.",
        "forward = image + text",
    ),
    "test_the_backward_pass": (
        "How many gradients does a product have, and does somebody need both of them everywhere?",
        "A product has two gradients, so the backward pass has twice the flop. But the first product of "
        "the pictures' tower has one, because nobody needs the gradient of the pixels.",
        "backward = 2 * forward - (flop of the patch embedding)",
    ),
    "test_what_is_computed_again": (
        "Which product of the forward pass does the docstring leave out?",
        "The first product is that of the patches, before any block. The projections are counted.",
        "recompute = forward - (flop of the patch embedding)",
    ),
}
DIFFERS = (
    "The library lets torch count the products of the model itself, on the meta device. So its count "
    "cannot drift from the model, and it holds for ResNets too; yours shows where the flop come from."
)
