"""Text to words, before any byte is merged (CLIP, section 2.4; details from the released code).

Captions from the web can be mis-decoded (`donâ€™t`), escaped twice (`&amp;lt;`) or full of line
breaks. CLIP repairs the encoding (ftfy), unescapes html twice, collapses white space and
lower-cases. Then it splits text into words that are merged separately: English endings ('s, 'll),
runs of letters, single digits, runs of anything else. White space is dropped, so "it's 12" comes
back as "it 's 1 2". At most 30 accents on one letter are kept, as in Unicode's stream-safe text.
Left out: Unicode normalization beyond ftfy's.
Lesson: lessons/02_bpe.md.
"""

import html

import ftfy
import regex

# IGNORECASE matters although the text is in lower case: with it the long s of "it'ſ" matches 's, as
# in the released code. No alternative matches white space, so no word contains any.
PATTERN = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE)

# too many accents on one letter: to put n of them in order takes n^2 steps
MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
# too many entities inside each other, which are unescaped level by level, or digits of one entity
ENTITIES = regex.compile(r"((?:amp;){1000})(?:amp;)+|(&#\d{4000})\d+")
# control and format characters, and others that are drawn as nothing: zero-width or blank
UNSEEN = regex.compile(r"[\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]+")


def clean(text: str) -> str:
    """Repair, unescape, collapse white space, lower-case. ValueError unless text is a str."""
    if not isinstance(text, str):
        raise ValueError(f"a text must be a str, not {type(text).__name__}")
    # most captions are printable ASCII without "&" and need no repair; ftfy takes 10 us
    if not text.isascii() or not text.isprintable() or "&" in text:
        text = ENTITIES.sub(r"\1\2", MARKS.sub(r"\1", text))
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def split_words(text: str) -> list[str]:
    """The words of cleaned text, without white space: "it's 12" -> ["it", "'s", "1", "2"]."""
    return PATTERN.findall(text)


def has_words(text: str) -> bool:
    """Whether a text has a word that can be seen. A zero-width space, for example, can be copied
    from a page of the web without being noticed. It makes tokens, but means nothing."""
    return any(not UNSEEN.fullmatch(word[0]) for word in PATTERN.finditer(clean(text)))
