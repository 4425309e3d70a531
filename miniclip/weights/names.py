"""Find weights by the names that people know, where other libraries keep their downloads.

OpenAI's package keeps its files in ~/.cache/clip. transformers and open_clip keep theirs in the
cache of Hugging Face's hub, which huggingface_hub finds. Weights are looked for in both places. If
they are in neither, they are downloaded into the hub's cache, unless HF_HUB_OFFLINE=1 forbids it.

Only the names below and names that begin with "hf-hub:" are ever sent over the network. The path of
a file never is, even if there is no such file.
"""

import contextlib
import json
import os
import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from miniclip.common import refuse, refusing
from miniclip.data.dataset import sha256
from miniclip.model.clip import ALIASES, OPENAI

HUB = "hf-hub:"
# For each released model: the SHA-256 that OpenAI publishes in the address of its file, and the
# repositories of the hub that hold the same weights. The first of them is downloaded.
PUBLISHED = {
    "rn50": (
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "timm/resnet50_clip.openai",
    ),
    "rn101": (
        "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        "timm/resnet101_clip.openai",
    ),
    "rn50x4": (
        "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        "timm/resnet50x4_clip.openai",
    ),
    "rn50x16": (
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "timm/resnet50x16_clip.openai",
    ),
    "rn50x64": (
        "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
        "timm/resnet50x64_clip.openai",
    ),
    "vit_b32": (
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "openai/clip-vit-base-patch32",
        "timm/vit_base_patch32_clip_224.openai",
    ),
    "vit_b16": (
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "openai/clip-vit-base-patch16",
        "timm/vit_base_patch16_clip_224.openai",
    ),
    "vit_l14": (
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "openai/clip-vit-large-patch14",
        "timm/vit_large_patch14_clip_224.openai",
    ),
    "vit_l14_336": (
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "openai/clip-vit-large-patch14-336",
        "timm/vit_large_patch14_clip_336.openai",
    ),
}
ANSWER_S = 5  # seconds; if the hub takes longer to answer, it counts as unreachable
INDEX = ".index.json"  # the end of an index's name; a model in several files has an index
# the names that weights have in a folder of the hub; `weights_among` says which of them is read
IN_FOLDER = (
    "model.safetensors",
    "model.safetensors" + INDEX,
    "pytorch_model.bin",
    "pytorch_model.bin" + INDEX,
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
# What `load` reads beside the weights. About pictures transformers 5 writes processor_config.json
# alone, and a folder with an adapter is refused.
BESIDE = """config.json open_clip_config.json preprocessor_config.json processor_config.json
    adapter_config.json vocab.json merges.txt tokenizer.json tokenizer_config.json
    special_tokens_map.json added_tokens.json""".split()

# the files of which one says how pictures are normalized
TOLD_BY = {"preprocessor_config.json", "processor_config.json", "open_clip_config.json"}


def weights_among(names: Collection[str]) -> str | None:
    """The name of the weights to read, among the names of the files in one folder, or None.

    If open_clip's config is there, open_clip's weights come first. In the repositories of timm, the
    file model.safetensors beside them holds a picture tower alone.
    """
    is_openclip = "open_clip_config.json" in names
    preferred = sorted(IN_FOLDER, key=lambda name: name.startswith("open_clip") != is_openclip)
    return next((name for name in preferred if name in names), None)


def _of_clip(repository, names):
    """The names of files that may belong to a whole CLIP. In a repository of timm these are only
    open_clip's, because config.json and model.safetensors are a picture tower alone."""
    is_timm = repository.startswith("timm/")
    return {name for name in names if name.startswith("open_clip") or not is_timm}


def _files_of(weights):
    """The names of the files that hold the tensors of `weights`, a file of tensors or an index."""
    is_index = weights.name.endswith(INDEX)
    return json.loads(weights.read_bytes())["weight_map"].values() if is_index else [weights.name]


def is_known(name: str) -> bool:
    """Whether `locate` may look for a name: of a released model, or of a repository of the hub."""
    return (
        name.startswith(HUB)
        or ALIASES.get(name, name) in PUBLISHED
        or any(name in repositories for _, *repositories in PUBLISHED.values())
    )


def locate(name: str) -> Path:
    """The file or the folder with the weights of a known name. They are downloaded if necessary.

    transformers may have left the weights of a repository in the cache without the file that says
    how pictures are normalized. This file is then downloaded, if the hub can be reached.

    Raises UserError if a file in ~/.cache/clip does not have the SHA-256 that OpenAI published, or
    if the weights are not on this machine and cannot be downloaded.
    """
    ours, repositories = ALIASES.get(name, name), [name.removeprefix(HUB)]
    if ours in PUBLISHED:
        published, *repositories = PUBLISHED[ours]
        spelled = next(theirs for theirs, own in OPENAI.items() if own == ours)
        file = Path(os.path.expanduser("~/.cache/clip"), re.sub("[/@]", "-", spelled) + ".pt")
        if file.is_file():
            refuse(
                {
                    f"{file} has another SHA-256 than OpenAI published; delete it": (
                        sha256(file) != published
                    )
                }
            )
            return file
    by_hand = f"hf download {repositories[0]} --local-dir DIR, and give DIR"
    refuse(
        {
            f"to find or to download {name}: pip install huggingface_hub, or {by_hand}": (
                find_spec("huggingface_hub") is None
            )
        }
    )
    import huggingface_hub as hub

    partial = None
    for repository in repositories:
        # not in the cache, no valid name, no home folder, or a damaged index
        with contextlib.suppress(Exception):
            here = Path(hub.snapshot_download(repository, local_files_only=True))
            names = _of_clip(repository, os.listdir(here))
            weights = weights_among(names) or ""
            config = "open_clip_config.json" if weights.startswith("open_clip") else "config.json"
            if {config, *_files_of(here / weights)} <= names:
                if names & TOLD_BY or not name.startswith(HUB):  # OpenAI's normalization is known
                    return here
                partial = here
    failed = f"{name} is not on this machine, and cannot be downloaded (try again, or {by_hand})"
    with contextlib.suppress(Exception) if partial else refusing(failed):
        of = dict(repo_id=repositories[0], revision=partial and partial.name)  # a commit, or main
        files = hub.model_info(**of, timeout=ANSWER_S).siblings
        weights = weights_among(_of_clip(repositories[0], [file.rfilename for file in files]))
        refuse({f"its repository holds none of {', '.join(IN_FOLDER)}": weights is None})
        parts = weights.removesuffix(INDEX).replace(".", "-*.")  # files of a model in several files
        return Path(hub.snapshot_download(**of, allow_patterns=[weights, parts, *BESIDE]))
    return partial
