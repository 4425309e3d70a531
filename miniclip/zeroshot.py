"""Zero-shot classification: the text encoder makes a classifier out of class names (CLIP, sections
3.1.2 and 3.1.4).

A class name is put into a template, the sentence is encoded as a unit vector, and this vector is
the class's column in a linear classifier. With several templates ("a photo of a {}.", "a drawing of
a {}.") the vectors of one class are averaged and normalized again: an ensemble in embedding space,
as cheap at prediction as one template. The text encoder runs once for each sentence, however many
pictures there are. The functions that encode pictures and texts stand here too; retrieval and the
probes use them.
Left out: calibration of the logits, and learned prompts.
Lesson: lessons/13_zeroshot.md.
"""

import contextlib
import math
import re
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from miniclip.bpe.cleaning import has_words
from miniclip.common import check_list, checked, in_words, refuse
from miniclip.data import transforms
from miniclip.data.threads import in_threads, read_all
from miniclip.model.clip import evaluating, own_config

SURROGATE = re.compile("[\ud800-\udfff]")  # how Python keeps bytes that are no UTF-8
CPU_BATCH, GPU_BATCH = 16, 64  # pictures; on a CPU every core encodes a batch of its own


@torch.no_grad()
def _encode(model, encode, batches):
    """encode(batch, normalize=True) of every batch, joined: (K, E) fp32 on the CPU.

    The batches are moved to the model's device. On a GPU the model computes in float16, which has
    three more bits of precision than bfloat16. Unit rows do not need the larger range of bfloat16.
    """
    width = own_config(model)["embed_dim"]
    weights = next(model.parameters())
    device = weights.device
    autocast = torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")
    # pictures are converted to the type of the weights, and token ids stay whole numbers
    batches = (torch.as_tensor(b, device=device) for b in batches)
    batches = (b.to(weights.dtype) if b.is_floating_point() else b for b in batches)
    with evaluating(model), autocast:
        features = [encode(batch, normalize=True).float().cpu() for batch in batches]
    features = torch.cat(features) if features else torch.zeros(0, width)
    refuse({"the features are not finite: this model has diverged": not features.isfinite().all()})
    return features


def encode_pictures(model, read, items) -> Iterator[tuple[list, torch.Tensor, list]]:
    """Encode the pictures of `items`, batch by batch. Yields (the items that could be read, their
    unit features (n, E) fp32 on the CPU, [(item, reason)] of the items that could not be read).

    read: a function that returns the picture of an item as a PIL image. It may raise BadPicture,
    and is called in threads. Raises UserError if the features are not finite.
    """
    preprocess = transforms.Preprocess(own_config(model)["image_size"])
    on_cpu = next(model.parameters()).device.type == "cpu"
    one_at_a_time = contextlib.nullcontext() if on_cpu else threading.Lock()  # saves GPU memory

    def square(item):
        return preprocess.square(read(item))

    def encode(batch):
        kept, squares, skipped = read_all(square, batch)
        with one_at_a_time:
            images = [transforms.normalize(torch.stack(squares))] if squares else []
            return kept, encode_tensors(model, images), skipped

    with evaluating(model):
        yield from in_threads(encode, items, CPU_BATCH if on_cpu else GPU_BATCH)


def encode_all(model, read, items) -> tuple[list, torch.Tensor, list]:
    """What encode_pictures yields, joined: (items, features, [(item, reason)])."""
    kept, features, skipped = [], [], []
    for good, encoded, bad in encode_pictures(model, read, items):
        kept += good
        features += [encoded] if good else []
        skipped += bad
    nothing = torch.zeros(0, model.config["embed_dim"])
    return kept, torch.cat(features) if features else nothing, skipped


@checked
def encode_images(model, source, indices: Iterable) -> tuple[torch.Tensor, list[int]]:
    """Encode source.image(i) for each i in indices. Returns (features, kept): features (K, E), fp32 on
    the CPU, rows of length one; kept, the K indices whose pictures could be read.

    Raises UserError if an index is out of range, or no whole number. True and False do not count
    as whole numbers.
    """
    refuse({"source must have a method image(i), as Pairs have": not hasattr(source, "image")})
    indices = getattr(indices, "tolist", lambda: list(indices))()
    refuse({f"indices must be a list, not {indices!r}": not isinstance(indices, list)})
    most = len(source) - 1 if hasattr(source, "__len__") else math.inf
    refuse(
        {
            f"an index must be a whole number from 0 to {most}, and not {i!r}": True
            for i in indices
            if not hasattr(i, "__index__") or isinstance(i, (bool, np.bool_)) or not 0 <= i <= most
        }
    )
    kept, features, _ = encode_all(model, source.image, indices)
    return features, kept


def encode_tensors(model, batches) -> torch.Tensor:
    """Unit features of batches of pictures, (n, 3, S, S) each: (K, E) fp32 on the CPU."""
    return _encode(model, model.encode_image, batches)


@checked
def encode_texts(model, tokenizer, texts: str | Iterable, batch_size: int = 512) -> torch.Tensor:
    """Unit features of a list of strings: (len(texts), E) fp32 on the CPU. A text that does not fit
    into the context loses its end.

    Raises UserError

    - if the texts are given as a set or a dict, because the rows need an order;
    - if the model or the tokenizer is not miniclip's;
    - if the tokenizer's vocabulary is not the one that model.config["tokenizer"] names.
    """
    check_list("texts", texts)
    given, trained = getattr(tokenizer, "digest", None), own_config(model).get("tokenizer")
    name = type(tokenizer).__name__
    with in_words(f"the tokenizer must be miniclip's, and not a {name}", TypeError):
        ids = tokenizer([""], trim=True)  # as the tokenizers of load are called
    refuse(
        {
            # a tokenizer of Hugging Face takes any options, and returns a dict
            f"the tokenizer must be miniclip's, and not a {name}": not torch.is_tensor(ids),
            f"batch_size must be at least 1, not {batch_size}": batch_size < 1,
            "this tokenizer has another vocabulary than the model was trained on": (
                trained and given and trained != given
            ),
        }
    )
    texts = [texts] if isinstance(texts, str) else list(texts)
    odd = next((t for t in texts if isinstance(t, str) and SURROGATE.search(t)), None)
    refuse(
        {
            f"the text {odd!r:.40} has bytes or halves of characters that are no UTF-8, or were "
            "not read as UTF-8 in this locale; PYTHONUTF8=1 reads them so": odd
        }
    )
    batches = (
        tokenizer(texts[k : k + batch_size], trim=True) for k in range(0, len(texts), batch_size)
    )
    return _encode(model, model.encode_text, batches)


@checked
def classifier_weights(model, tokenizer, names: Iterable, templates: Iterable) -> torch.Tensor:
    """The zero-shot classifier: (E, classes) fp32, columns of length one.

    names: one string per class. If two classes have the same name, their columns are equal, and
    `classify` finds only the first of them. templates: strings with one {} for the name; a bare
    "{}" is the name alone. Raises ValueError if names or templates are empty or hold something
    else than strings, if a template does not hold {} exactly once, or if a name has no words or
    does not fit into the context.

    A name whose words did not occur in training raises no error. The model has learned nothing
    about such words, so the scores of this class are noise.
    """
    check_list("names", names)
    check_list("templates", templates)
    names, templates = list(names), list(templates)
    empty = not all(has_words(name) for name in names if isinstance(name, str))
    wrong = [t for t in templates if not isinstance(t, str) or t.count("{}") != 1]
    refuse(
        {
            "names must be a non-empty list of class names": not names,
            **{
                f"class names must be texts, and names[{k}] is {name!r:.40}": True
                for k, name in enumerate(names)
                if not isinstance(name, str)
            },
            "a class name is empty, or has no words; leave it out, or give the name": empty,
            'templates must be a non-empty list such as ["a photo of a {}."]': not templates,
            f"a template must hold {{}} once, where the name goes: {wrong}": wrong,
        }
    )
    sentences = [template.replace("{}", name) for name in names for template in templates]
    features = encode_texts(model, tokenizer, sentences)
    # the end of a context may cut what follows a name, but not the name: two cut names could have
    # the same ids
    starts = [t.split("{}")[0] + name for name in names for t in templates]
    tokenizer(starts, trim=True, truncate=False)
    mean = features.unflatten(0, (len(names), len(templates))).mean(1)  # (classes, E)
    return F.normalize(mean, dim=1).T


def products(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """a @ b in float32, also under autocast, whose 16 bits would make ties of different scores."""
    with torch.autocast(a.device.type, enabled=False):
        return a.float() @ b.float()


@checked
def classify(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Predicted class of each picture: (K, E) unit features, (E, classes) -> (K,) int64. Raises
    UserError for other shapes, and for scores that are NaN or infinite."""
    fit = images.ndim == weights.ndim == 2 and images.shape[1] == len(weights) and weights.numel()
    refuse({"images must be (K, E), and weights (E, classes)": not fit})
    scores = products(images, weights)
    refuse({"the features are NaN or infinite": not scores.isfinite().all()})
    return scores.argmax(1)


def imagenet() -> tuple[dict[str, str], list[str]]:
    """OpenAI's 1,000 class names for ImageNet by their wnids, in the order of the labels, and its 80
    templates: ({"n01440764": "tench", ...}, templates).

    The names and templates are read from open_clip, which has a copy of them, and the wnids from
    timm, which open_clip installs. Raises UserError if open_clip is not installed.
    """
    with in_words("ImageNet's names and templates need: pip install open_clip_torch", ImportError):
        from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
        from timm.data import ImageNetInfo
    names = dict(zip(ImageNetInfo().label_names(), IMAGENET_CLASSNAMES))
    return names, [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
