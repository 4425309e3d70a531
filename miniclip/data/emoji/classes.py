"""Twenty classes for zero-shot classification of the embedded pictures.

Unicode puts every emoji into a subgroup ("animal-bug", "food-asian"). A class is a word that a person
would type, for one or several subgroups whose pictures look like one kind of thing. Some emoji are in
a subgroup by association (a fuel pump among the vehicles, a spider web among the animals): they get
no class. Neither do people, flags, signs, anything with a skin tone, and a picture whose names fall
into different classes.
"""

from miniclip.data.emoji.captions import parts

CLASSES = {  # name: the subgroups it stands for; "x-" is every subgroup that starts so
    "face": ("face-",),
    "heart": ("heart",),
    "hand": ("hand-", "hands"),
    "animal": ("animal-",),
    "plant": ("plant-",),
    "food": ("food-",),
    "drink": ("drink",),
    "building": ("place-building", "place-religious"),
    "vehicle": ("transport-ground", "transport-water", "transport-air"),
    "clock": ("time",),
    "weather": ("sky & weather",),
    "sport": ("sport",),
    "game": ("game",),
    "clothing": ("clothing",),
    "musical instrument": ("musical-instrument",),
    "tool": ("tool",),
    "stationery": ("office", "writing", "book-paper"),
    "arrow": ("arrow",),
    "button": ("av-symbol",),
    "geometric shape": ("geometric",),
}
NAMES = tuple(CLASSES)
# filed in a subgroup above, but no picture of such a thing
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


def label_of(rows):
    """Class of a picture, from its rows of emoji.tsv: a position in NAMES, or -1."""
    found = {_label(row) for row in rows}
    return found.pop() if len(found) == 1 else -1


def _label(row):
    if row["name"] in MISFITS or parts(row["name"])[2]:
        return -1
    fits = (
        position
        for position, subgroups in enumerate(CLASSES.values())
        for subgroup in subgroups
        if row["subgroup"] == subgroup
        or subgroup.endswith("-")
        and row["subgroup"].startswith(subgroup)
    )
    return next(fits, -1)
