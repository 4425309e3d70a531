"""From an emoji's name to its captions, which vary from epoch to epoch, and to its class.

Unicode gives each picture one stiff name ("woman firefighter: dark skin tone"). People would say
this in another order, and half of the captions do so too. Keywords (em-keyboard: dog -> pet,
animal) are added to four captions in ten, because names almost never say animal, food or vehicle.
Of the captions without keywords, half put the name into a template, so that the prompts of the
evaluation are known from training (CLIP, section 3.1.4).

Zero-shot classification uses twenty classes. Unicode puts every emoji into a subgroup
("animal-bug", "food-asian"). A class is a word that a person would type for one or several
subgroups whose pictures look like one kind of thing. Some emoji are in a subgroup only by
association, such as a fuel pump among the vehicles and a spider web among the animals. They get no
class. People, flags, signs and emoji with a skin tone get no class either, nor does a picture whose
names fall into different classes.
"""

import re

TEMPLATES = (
    "a {}",
    "an emoji of {}",
    "a drawing of {}",
    "a picture of a {}",
    "{} icon",
    "the {} emoji",
)
WAYS = {  # {head: ways to say the name "head: details"}; None is for any other head
    "flag": ("flag of {said}", "{said} flag"),
    "keycap": ("keycap {said}",),
    "family": ("family of {said}",),
    "kiss": ("{said} kissing", "kiss of {said}"),
    "couple with heart": ("{said} with heart", "couple with heart of {said}"),
    None: ("{head} with {said}", "{said} {head}"),
}
KEYWORD_SHARE, MOST_KEYWORDS = 0.4, 3
CANONICAL_SHARE = 0.5

CLASSES = {  # {name: a pattern of the subgroups that it stands for}
    "face": "face-.*",
    "heart": "heart",
    "hand": "hand-.*|hands",
    "animal": "animal-.*",
    "plant": "plant-.*",
    "food": "food-.*",
    "drink": "drink",
    "building": "place-building|place-religious",
    "vehicle": "transport-(ground|water|air)",
    "clock": "time",
    "weather": "sky & weather",
    "sport": "sport",
    "game": "game",
    "clothing": "clothing",
    "musical instrument": "musical-instrument",
    "tool": "tool",
    "stationery": "office|writing|book-paper",
    "arrow": "arrow",
    "button": "av-symbol",
    "geometric shape": "geometric",
}
# emoji of the subgroups above that do not show a thing of the class
MISFITS = frozenset(
    name.strip()
    for name in """
    skull, skull and crossbones, pile of poo, clown face, ogre, goblin, ghost, alien, alien monster,
    robot, selfie, nail polish, paw prints, feather, wing, spider web, spiral shell, coral, microbe,
    empty nest, nest with eggs, building construction, brick, rock, wood, bus stop, motorway,
    railway track, oil drum, fuel pump, wheel, police car light, horizontal traffic light,
    vertical traffic light, stop sign, construction, station, anchor, ring buoy, parachute, seat,
    satellite, ice, hourglass done, hourglass not done, high voltage, fire, bomb, boomerang, shield,
    link, broken chain, chains, gem stone, lipstick, prayer beads
    """.split(",")
)


def parts(name: str) -> tuple[str, tuple, tuple]:
    """A Unicode name as (head, details, tones). The head is before the colon, the rest after it.

    "man: dark skin tone, red hair" -> ("man", ("red hair",), ("dark skin tone",)).
    """
    head, _, rest = name.partition(": ")
    details = rest.split(", ") if rest else []
    tones = tuple(d for d in details if d.endswith(" skin tone"))
    return head, tuple(d for d in details if not d.endswith(" skin tone")), tones


def without_tone(name: str) -> str:
    """The name without its tone words: "man: dark skin tone, red hair" -> "man: red hair"."""
    head, details, _ = parts(name)
    return f"{head}: {', '.join(details)}" if details else head


def variants(name: str) -> list[str]:
    """Other ways to say a Unicode name, as a list that may be empty. Each way keeps the words."""
    head, details, tones = parts(name)
    said = " and ".join(details)
    if head == "family" and details:
        said = f"{', '.join(details[:-1])} and {details[-1]}"
    ways = WAYS.get(head, WAYS[None]) if details else ("{head}",)
    ways = ("bald {head}",) if details == ("bald",) else ways
    ways = [way.format(head=head, said=said) for way in ways]
    if not tones:
        return [way for way in ways if way != name]
    tone = " and ".join(tones)
    return [f"{tone} {way}" for way in ways] + [f"{way} with {tone}" for way in ways]


def vary(name: str, others, keywords, rng) -> str:
    """One caption: the name or one of `others`, perhaps with keywords, perhaps in a template.

    rng: a numpy Generator. If there are keywords, 40 % of the captions get 1 to 3 of them. Half of
    the other captions get a template.
    """
    reworded = others and rng.random() >= CANONICAL_SHARE
    text = others[int(rng.integers(len(others)))] if reworded else name
    if keywords and rng.random() < KEYWORD_SHARE:
        count = min(int(rng.integers(1, MOST_KEYWORDS + 1)), len(keywords))
        chosen = rng.choice(len(keywords), count, replace=False)
        return ", ".join([text, *(keywords[k] for k in chosen)])
    return TEMPLATES[int(rng.integers(len(TEMPLATES)))].format(text) if rng.random() < 0.5 else text


def label_of(rows: list[dict]) -> int:
    """The class of a picture, given by its rows of emoji.tsv: a position in CLASSES, or -1."""
    found = {_label(row) for row in rows}
    return found.pop() if len(found) == 1 else -1


def _label(row):
    if row["name"] in MISFITS or parts(row["name"])[2]:
        return -1
    fits = (re.fullmatch(pattern, row["subgroup"]) for pattern in CLASSES.values())
    return next((position for position, fit in enumerate(fits) if fit), -1)
