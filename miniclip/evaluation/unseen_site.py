"""Zero-shot classification of a site that was never seen (CLIP, section 3.1).

The classes are the names that the site shares with the training pictures; each is written into three
templates, whose features are averaged. A picture with several names is right by any of them. Beside
it: the nearest training picture, which needs labels, in features or in raw pixels.
"""

import torch

from miniclip.zeroshot import classifier_weights, encode_images

TEMPLATES = ("{}", "{} filled", "{} outline")


def labelled(pairs, split, names):
    """Pictures of a split with a name among `names`: (indices, right (K, classes) bool)."""
    column = {name: k for k, name in enumerate(names)}
    found = [(i, [column[n] for n in pairs.names(i) if n in column]) for i in pairs.splits[split]]
    found = [(i, own) for i, own in found if own]
    right = torch.zeros(len(found), len(names), dtype=torch.bool)
    for row, (_, own) in enumerate(found):
        right[row, own] = True
    return [i for i, _ in found], right


def correct(scores, right, k=1):
    """Whether one of the k classes with the highest scores is right: (K,) bool; of all, if fewer."""
    return right.gather(1, scores.topk(min(k, scores.shape[1]), dim=1).indices).any(1)


def zero_shot(model, tokenizer, pairs, templates=TEMPLATES):
    """Zero-shot top-1 and top-5 on pairs' split heldout_site, with 95 % intervals: a dict."""
    names = pairs.shared_names
    indices, right = labelled(pairs, "heldout_site", names)
    images, _ = encode_images(model, pairs, indices)
    scores = images @ classifier_weights(model, tokenizer, names, templates)
    found = {f"top-{k}": correct(scores, right, k).float().mean().item() for k in (1, 5)}
    return found | {"n": len(indices), "classes": len(names)}


def sentence(pairs, found):
    """What zero_shot found, as one line."""
    return (
        f"zero-shot on {', '.join(pairs.held_out_sites)}, never seen: top-1 {found['top-1']:.3f}, "
        f"top-5 {found['top-5']:.3f} of {found['n']:,} pictures in {found['classes']} classes "
        f"(chance {1 / found['classes']:.4f})"
    )
