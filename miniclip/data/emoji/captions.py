"""Captions for an emoji, which vary from epoch to epoch.

Unicode gives each picture one stiff name ("woman firefighter: dark skin tone"). People say it in
another order, so half of the captions do too. Keywords (em-keyboard: dog -> pet, animal) are added to
four captions in ten, since names almost never say animal, food or vehicle. Half of the others put the
name in a template, so that the prompts of the evaluation were seen in training (CLIP, section 3.1.4).
"""

TEMPLATES = (
    "a {}",
    "an emoji of {}",
    "a drawing of {}",
    "a picture of a {}",
    "{} icon",
    "the {} emoji",
)
WAYS = {  # to say "head: details"
    "flag": ("flag of {said}", "{said} flag"),
    "keycap": ("keycap {said}",),
    "family": ("family of {said}",),
    "kiss": ("{said} kissing", "kiss of {said}"),
    "couple with heart": ("{said} with heart", "couple with heart of {said}"),
    None: ("{head} with {said}", "{said} {head}"),
}
KEYWORD_SHARE, MOST_KEYWORDS = 0.4, 3
CANONICAL_SHARE = 0.5


def parts(name):
    """A Unicode name as (head, details, tones): what stands before the colon, and after it.

    "man: dark skin tone, red hair" -> ("man", ("red hair",), ("dark skin tone",)).
    """
    head, _, rest = name.partition(": ")
    details = rest.split(", ") if rest else []
    tones = tuple(d for d in details if d.endswith(" skin tone"))
    return head, tuple(d for d in details if not d.endswith(" skin tone")), tones


def without_tone(name):
    """The name without its tone words: "man: dark skin tone, red hair" -> "man: red hair"."""
    head, details, _ = parts(name)
    return f"{head}: {', '.join(details)}" if details else head


def spoken(head, details):
    """Ways to say a name that has no tone, without its colon: list of str, never empty."""
    if not details:
        return [head]
    said = " and ".join(details)
    if head == "family":
        said = f"{', '.join(details[:-1])} and {details[-1]}"
    ways = ("bald {head}",) if details == ("bald",) else WAYS.get(head, WAYS[None])
    return [way.format(head=head, said=said) for way in ways]


def variants(name):
    """Other ways to say a Unicode name: list of str, perhaps empty; the words stay the same."""
    head, details, tones = parts(name)
    said = spoken(head, details)
    if not tones:
        return [s for s in said if s != name]
    tone = " and ".join(tones)
    return [f"{tone} {s}" for s in said] + [f"{s} with {tone}" for s in said]


def vary(name, others, keywords, rng):
    """One caption: the name or one of `others`, perhaps with keywords, perhaps in a template.

    rng: numpy Generator. 40 % get 1 to 3 of `keywords` (where there are any), half of the rest a
    template.
    """
    text = name
    if others and rng.random() >= CANONICAL_SHARE:
        text = others[int(rng.integers(len(others)))]
    if keywords and rng.random() < KEYWORD_SHARE:
        count = min(int(rng.integers(1, MOST_KEYWORDS + 1)), len(keywords))
        chosen = rng.choice(len(keywords), count, replace=False)
        return ", ".join([text, *(keywords[k] for k in chosen)])
    if rng.random() < 0.5:
        return TEMPLATES[int(rng.integers(len(TEMPLATES)))].format(text)
    return text
