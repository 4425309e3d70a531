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
import inspect
import itertools
import re

import torch
from torch.nn import functional as F

from miniclip.common import UserError, refuse
from miniclip.data.dataset import BadPicture
from miniclip.data.files import read_text
from miniclip.data.transforms import Preprocess


def readable_pictures(source, indices):
    """Yield (index, source.image(index)) for each of `indices` whose picture can be read."""
    for index in indices:
        with contextlib.suppress(BadPicture):
            yield index, source.image(index)


@torch.inference_mode()
def _encode(model, encode, batches):
    """encode(batch, normalize=True) of every batch, joined: (K, E) fp32 on the CPU.

    The model is in evaluation mode meanwhile; the batches are moved to its device.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    try:
        features = [encode(batch.to(device), normalize=True).float().cpu() for batch in batches]
    finally:
        model.train(was_training)
    return torch.cat(features) if features else torch.zeros(0, model.config["embed_dim"])


def encode_images(model, source, indices, batch_size: int = 256) -> tuple[torch.Tensor, list[int]]:
    """Encode source.image(i) for each i in indices: (features (K, E) fp32 on the CPU, rows of
    length one; the K indices whose pictures could be read).

    A picture that cannot be read is left out.
    """
    preprocess, kept = Preprocess(model.config["image_size"]), []

    def batches():
        stream = readable_pictures(source, indices)
        while batch := [(i, preprocess(p)) for i, p in itertools.islice(stream, batch_size)]:
            kept.extend(i for i, _ in batch)
            yield torch.stack([image for _, image in batch])

    return encode_tensors(model, batches()), kept


def encode_tensors(model, batches) -> torch.Tensor:
    """Unit features of batches of pictures, (n, 3, S, S) each: (K, E) fp32 on the CPU."""
    return _encode(model, model.encode_image, batches)


def must_tokenize(tokenizer) -> None:
    """Raise UserError unless tokenizer(texts, trim=True) can be called, as a Tokenizer can."""
    try:
        inspect.signature(tokenizer).bind([""], trim=True)
    except UserError:  # the tokenizer of a vocabulary that is unknown says so itself
        raise
    except (TypeError, ValueError):
        kind = type(tokenizer).__name__
        raise UserError(
            f"the tokenizer must be miniclip's, such as load returns, and this is a {kind}"
        ) from None


def encode_texts(model, tokenizer, texts: list[str], batch_size: int = 512) -> torch.Tensor:
    """Unit features of a list of strings: (len(texts), E) fp32 on the CPU.

    Raises UserError for what is no tokenizer, and for one of another vocabulary than
    model.config["tokenizer"] names.
    """
    must_tokenize(tokenizer)
    texts = [texts] if isinstance(texts, str) else list(texts)
    trained, given = model.config.get("tokenizer"), getattr(tokenizer, "digest", None)
    other = "this tokenizer has another vocabulary than the model was trained on"
    refuse({other: trained and given and trained != given})
    starts = range(0, len(texts), batch_size)
    batches = (tokenizer(texts[k : k + batch_size], trim=True) for k in starts)
    return _encode(model, model.encode_text, batches)


def classifier_weights(model, tokenizer, names, templates):
    """The zero-shot classifier: (E, classes) fp32, columns of length one.

    names: one string a class. templates: strings with one {} for the name; a bare "{}" is the name
    alone. Raises ValueError for no names, no templates, a template without its placeholder, or a
    name that does not fit into the context.
    """
    names, templates = (x if isinstance(x, str) else list(x) for x in (names, templates))
    strings = bool(names) and all(isinstance(name, str) for name in names)
    refuse(
        {
            "names must be a non-empty list of class names": isinstance(names, str) or not strings,
            'templates must be a non-empty list such as ["a photo of a {}."]': (
                isinstance(templates, str) or not templates
            ),
        }
    )
    must_tokenize(tokenizer)
    for template in templates:
        if not isinstance(template, str) or template.count("{}") != 1:
            raise ValueError(f"template {template!r} must hold {{}} once, where the name goes")
        # two names that are cut may become the same ids; only what comes after a name may be cut
        tokenizer([template.split("{}")[0] + name for name in names], trim=True, truncate=False)
    sentences = [template.replace("{}", name) for name in names for template in templates]
    features = encode_texts(model, tokenizer, sentences)
    mean = features.unflatten(0, (len(names), len(templates))).mean(1)  # (classes, E)
    return F.normalize(mean, dim=1).T


def classify(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Predicted class of each picture: (K, E) unit features, (E, classes) -> (K,) int64."""
    return (images @ weights).argmax(1)


def read_lines(path, what: str) -> list[str]:
    """The lines of a text file that are not blank, stripped: list of str.

    Raises UserError, which calls the content `what`, when there is none or the file cannot be read.
    """
    lines = list(filter(None, map(str.strip, re.split("[\r\n]", read_text(path)))))
    if not lines:
        raise UserError(f"{path} holds no {what}; give one a line")
    return lines


def imagenet() -> tuple[list[str], list[str]]:
    """OpenAI's 1,000 class names and 80 templates for ImageNet, from open_clip: (names, templates).

    Raises UserError where open_clip is not installed.
    """
    try:
        from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
    except ImportError:
        raise UserError(
            "ImageNet's names and templates need: pip install open_clip_torch"
        ) from None
    return list(IMAGENET_CLASSNAMES), [template("{}") for template in OPENAI_IMAGENET_TEMPLATES]
