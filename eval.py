"""Judge a CLIP from its checkpoint alone: retrieval, zero-shot classification, and search.

    python eval.py --checkpoint runs/rn_mini/checkpoint.pt
    python eval.py --checkpoint ... --data pairs.csv     other pairs than those it was trained on
    python eval.py --checkpoint ... --search "a red heart"

Writes report.md with its pictures, and results.json, beside the checkpoint (or to --out), and
prints the tables. --search writes search.png and prints what it found.
"""

import json
import sys
import time
from pathlib import Path

import torch

import miniclip
from miniclip import checkpoint
from miniclip.command import Parser, machine, number, pick_device, write_json
from miniclip.data import open_pairs
from miniclip.pictures import draw_retrieval
from miniclip.retrieval import Gallery, choose, encode_pictures, evaluate_heldout, table
from miniclip.zeroshot import accuracy, classifier_weights, classify, nearest_neighbour

# sentences a person would put an emoji's name into; {} is the name
TEMPLATES = [
    "{}",
    "an emoji of {}",
    "a drawing of {}",
    "a picture of {}",
    "{} icon",
    "the {} emoji",
]
TONES = [f"{t} skin tone" for t in ("light", "medium-light", "medium", "medium-dark", "dark")]


def options(argv):
    """Parse the command line."""
    parser = Parser(prog="eval.py", description="Judge a CLIP from its checkpoint.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt of a run")
    parser.add_argument("--data", help="pairs.csv or a folder (default: what it was trained on)")
    parser.add_argument("--image-column", help="csv: the column of picture paths")
    parser.add_argument("--caption-column", help="csv: the column of captions")
    parser.add_argument("--separator", help="csv: the separator")
    parser.add_argument("--out", type=Path, help="folder for the report")
    parser.add_argument("--search", metavar="TEXT", help="find the pictures nearest to a text")
    parser.add_argument("-k", type=number(int, low=1), default=16, help="how many to find (16)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--threads", type=number(int, low=1), help="CPU threads of torch")
    return parser.parse_args(argv), parser


def open_data(args):
    """The pairs that were asked for, or those that the checkpoint was trained on, or the embedded
    ones where it does not say (a file of OpenAI's or open_clip's)."""
    try:
        trained = checkpoint.load(args.checkpoint)["options"]
    except ValueError:
        trained = {}
    source = args.data or trained.get("data")
    same = source == trained.get("data")
    columns = {}
    for name in ("image_column", "caption_column", "separator"):
        columns[name] = getattr(args, name) or (trained.get(name) if same else None)
    pairs = open_pairs(source, **columns)
    if not same and source:  # nobody trained on any of these
        pairs.splits = {"train": [], "all": list(range(len(pairs)))}
    return pairs, same


def search(model, tokenizer, pairs, text, k, path):
    """--search: print the k nearest pictures of all, and draw them."""
    gallery = Gallery(model, tokenizer, pairs, range(len(pairs)))
    found = draw_retrieval(gallery, [text], path, columns=min(k, len(gallery.kept)))[0]
    for place, (index, cosine) in enumerate(found, 1):
        print(f"{place:3d}  {cosine:.3f}  {pairs.captions(index)[0]}")
    print(f"drawn in {path}")


def pixels(pairs, indices, side=24):
    """Pictures as flat floats (K, 3 side side), for the nearest-neighbour yardstick."""
    size = (side, side)
    flat = [torch.frombuffer(bytearray(pairs.image(i).resize(size).tobytes()), dtype=torch.uint8)
            for i in indices]  # fmt: skip
    return torch.stack(flat).float() / 255


def zero_shot(model, tokenizer, pairs):
    """Section 3.1 in small: classes from their names alone, on held-out concepts, beside what the
    commonest class gets and what a supervised nearest neighbour on pixels gets."""
    names = pairs.class_names
    asked = [i for i in pairs.splits["heldout_concepts"] if pairs.label(i) >= 0]
    known = [i for i in pairs.splits["train"] if pairs.label(i) >= 0]
    labels = torch.tensor([pairs.label(i) for i in asked])
    known_labels = torch.tensor([pairs.label(i) for i in known])
    pictures, _ = encode_pictures(model, pairs, asked)
    results = {"classes": len(names)}
    for prompt, templates in (
        ("bare name", ["{}"]),
        ("one template", [TEMPLATES[1]]),
        (f"ensemble of {len(TEMPLATES)} templates", TEMPLATES),
    ):
        weights = classifier_weights(model, tokenizer, names, templates)
        results[prompt] = accuracy(classify(pictures, weights), labels)
    commonest = known_labels.bincount().argmax()
    results["commonest class"] = accuracy(commonest.expand(len(labels)), labels)
    neighbour = nearest_neighbour(pixels(pairs, known), known_labels, pixels(pairs, asked))
    results["pixel nearest neighbour, supervised"] = accuracy(neighbour, labels)
    return results


def skin_tone(model, tokenizer, pairs):
    """Which of the five tones? Asked with the tone alone, and with the noun named as well: the
    paper's point that a word needs its context (section 3.1.4), on held-out compositions."""
    asked = [i for i in pairs.splits["heldout_compositions"] if len(pairs.tones(i)) == 1]
    labels = torch.tensor([TONES.index(pairs.tones(i)[0]) for i in asked])
    pictures, _ = encode_pictures(model, pairs, asked)
    alone = classifier_weights(model, tokenizer, TONES, ["{}"])
    named = [
        [pairs.captions(i)[0].replace(pairs.tones(i)[0], tone) for tone in TONES] for i in asked
    ]
    return {
        "the tone alone": accuracy(classify(pictures, alone), labels),
        "the noun and the tone": accuracy(choose(model, tokenizer, pictures, named), labels),
    }


def scores_table(results):
    """Accuracies as lines of text: name, accuracy, balanced accuracy, n."""
    lines = [f"{'':<40} {'accuracy':>9} {'balanced':>9} {'n':>6}"]
    for name, s in results.items():
        if isinstance(s, dict):
            lines.append(
                f"{name:<40} {s['accuracy']:9.3f} {s['balanced_accuracy']:9.3f} {s['n']:6d}"
            )
    return "\n".join(lines)


def main(argv=None):
    began = time.monotonic()
    args, parser = options(argv)
    try:
        device = pick_device(args.device)
        if args.threads:
            torch.set_num_threads(args.threads)
        model, tokenizer, _ = miniclip.load(args.checkpoint, device=device)
        pairs, same = open_data(args)
    except ValueError as error:
        parser.error(str(error))
    out = args.out or args.checkpoint.parent / ("" if same else f"eval_{Path(args.data).stem}")
    out.mkdir(parents=True, exist_ok=True)
    if args.search is not None:
        search(model, tokenizer, pairs, args.search, args.k, out / "search.png")
        return 0

    report = [f"# {args.checkpoint} on {pairs.name}", ""]
    results = {}

    def tell(title, text, reading):
        print(f"\n{title}\n{text}")
        report.extend([f"## {title}", "", "```text", text, "```", "", reading, ""])

    # retrieval (the paper's appendix), on pairs that training has not seen
    held_out, galleries = evaluate_heldout(model, tokenizer, pairs)
    results.update(held_out)
    if not held_out:
        print("no pairs were held out: there is nothing to retrieve")
    else:
        if "heldout_compositions" in held_out:
            held_out["heldout_compositions"]["tone_blind_oracle"] = pairs.tone_blind_oracle(
                pairs.splits["heldout_compositions"]
            )
        tell("Retrieval", table(held_out),
             "R@k is the share of queries whose answer is among the first k of the gallery; the "
             "median is of the answer's rank. Chance is a gallery in random order.")  # fmt: skip
        split, gallery = next(iter(galleries.items()))
        queries, answers = pairs.queries(split)
        draw_retrieval(gallery, queries, out / "retrieval.png", answers=answers)
        report.extend(["![retrieval](retrieval.png)", "",
                       "Each row is a query with the pictures it finds, the nearest first, the cosine "
                       "below; a green frame marks the picture that the caption belongs to.", ""])  # fmt: skip

    if hasattr(pairs, "class_names"):
        results["zero_shot"] = zero_shot(model, tokenizer, pairs)
        tell(f"Zero-shot classification: {results['zero_shot']['classes']} classes, held-out concepts",
             scores_table(results["zero_shot"]),
             "The classifier is written by the text encoder from the names of the classes. The last "
             "row is supervised: it has seen labelled pictures, the rows above have not.")  # fmt: skip
        results["skin_tone"] = skin_tone(model, tokenizer, pairs)
        tell("Which of five skin tones? (held-out compositions)", scores_table(results["skin_tone"]),
             "Naming the noun beside the tone gives the tone its context; chance is 0.2.")  # fmt: skip

    results |= {
        "command": " ".join(["python", *(sys.argv if argv is None else ["eval.py", *argv])]),
        "checkpoint": str(args.checkpoint), "seconds": round(time.monotonic() - began, 1),
        "machine": machine(device),
    }  # fmt: skip
    path = out / "results.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    write_json(path, before | results)
    (out / "report.md").write_text("\n".join(report), encoding="utf-8")
    print(f"\nreport.md, retrieval.png and results.json are in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
