"""What users may write: visible text, in Unicode normalization form C.

Characters that are invisible or change the direction of the text around them could make a
question or a comment read as something else, or as nothing. They are refused, but for the places
where scripts and emoji need them: joiners inside words of Arabic and Indic scripts and in emoji
sequences, variation selectors after a character, and the tags of flags.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from api.errors import invalid
from zmart_pipelines.ipfs.canonical_json import normalized_text

# A flag of a region: the black flag, its code in tag letters and digits, the cancel tag.
_REGION_FLAG: Final = re.compile(
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_VARIATION_SELECTORS: Final = frozenset(
    chr(code)
    for start, end in ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for code in range(start, end + 1)
)
# Letters and symbols of other categories that show nothing.
_BLANKS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_MONGOLIAN_SELECTORS: Final = frozenset("\u180b\u180c\u180d\u180f")
# Scripts in which joiners change the form of letters, as the Unicode names of letters begin.
_JOINING_SCRIPTS: Final = frozenset(
    [
        "ARABIC",
        "SYRIAC",
        "MANDAIC",
        "NKO",
        "MONGOLIAN",
        "PHAGS-PA",
        "DEVANAGARI",
        "BENGALI",
        "GURMUKHI",
        "GUJARATI",
        "ORIYA",
        "TAMIL",
        "TELUGU",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "KHMER",
        "MYANMAR",
        "TIBETAN",
        "BALINESE",
        "JAVANESE",
    ]
)
_VISIBLE: Final = frozenset("LNPS")
_REFUSED: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_SYMBOLS: Final = frozenset(("So", "Sm", "Sk", "Cn"))


def clean_text(field: str, text: str, *, lines: bool = False) -> str:
    """Return ``text`` trimmed and in normal form C.

    Args:
        field: Its name in the request.
        text: What the user wrote.
        lines: Whether line feeds and tabs are accepted.

    Raises:
        ApiError: 400 naming the field, the character and its place.
    """
    text = text.replace("\r\n", "\n") if lines else text
    cleaned = normalized_text(text)
    checked = _REGION_FLAG.sub(lambda flag: "\U0001f3f4" * len(flag[0]), cleaned)
    for place, character in enumerate(checked):
        if lines and character in "\n\t":
            continue
        if not _is_accepted(checked, place):
            raise invalid(field, _reason(character, place))
    if checked and not any(_is_visible(character) for character in checked):
        raise invalid(field, "must contain visible characters")
    return cleaned


def question(text: str) -> str:
    """Return a market's question as it is stored; raise ApiError 400 where it is unusable."""
    cleaned = clean_text("question", text)
    if not 10 <= len(cleaned) <= 200:
        raise invalid("question", "must have 10 to 200 characters after trimming")
    return cleaned


def description(text: str) -> str:
    """Return a market's description as it is stored; raise ApiError 400 where it is unusable."""
    cleaned = clean_text("description", text, lines=True)
    if len(cleaned) > 2000:
        raise invalid("description", "must have at most 2000 characters")
    return cleaned


def tags(texts: list[str]) -> tuple[str, ...]:
    """Return a market's tags without repetitions; raise ApiError 400 where one is unusable."""
    cleaned = tuple(dict.fromkeys(clean_text("tags", text) for text in texts))
    if "" in cleaned:
        raise invalid("tags", "must not be blank")
    return cleaned


def comment(text: str) -> str:
    """Return a comment as it is stored; raise ApiError 400 where it is blank or too long."""
    return _limited("content", text, 1000, lines=True)


def note(text: str) -> str:
    """Return what a report adds; raise ApiError 400 where it is unusable."""
    return _limited("note", text, 500, lines=True) if text.strip() else ""


def reason(text: str) -> str:
    """Return an operator's reason; raise ApiError 400 where it is blank or too long."""
    return _limited("reason", text, 500, lines=True)


def user_name(text: str) -> str:
    """Return what a user is called; raise ApiError 400 where it is blank or too long."""
    return _limited("name", text, 50)


def bio(text: str) -> str:
    """Return what a user says of himself; raise ApiError 400 where it is blank or too long."""
    return _limited("bio", text, 500, lines=True)


def _limited(field: str, text: str, most: int, *, lines: bool = False) -> str:
    """Return the cleaned text; raise ApiError 400 unless it has 1 to ``most`` characters.

    Normal form C can be longer than what was sent.
    """
    cleaned = clean_text(field, text, lines=lines)
    if not cleaned:
        raise invalid(field, "must not be blank")
    if len(cleaned) > most:
        raise invalid(field, f"must have at most {most} characters")
    return cleaned


def _reason(character: str, place: int) -> str:
    name = unicodedata.name(character, "control character")
    return (
        "must not contain invisible or direction-changing characters;"
        f" remove U+{ord(character):04X} ({name}) at position {place + 1}"
    )


def _is_accepted(text: str, place: int) -> bool:
    """Return whether the character at ``place`` may stand there."""
    character = text[place]
    before = text[place - 1] if place else ""
    after = text[place + 1] if place + 1 < len(text) else ""
    if character == _ZWJ:
        return _joins_symbols(before, after) or _joins_letters(before, after)
    if character == _ZWNJ:
        return _joins_letters(before, after)
    if character in _VARIATION_SELECTORS:
        return _is_visible(before)
    if character in _MONGOLIAN_SELECTORS:
        return _script(before) == "MONGOLIAN"
    if character in _BLANKS or ord(character) & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(character) not in _REFUSED


def _is_visible(character: str) -> bool:
    """Return whether the character shows something by itself; unassigned ones may be new emoji."""
    if not character or character in _BLANKS:
        return False
    category = unicodedata.category(character)
    return category[0] in _VISIBLE or category == "Cn"


def _joins_symbols(before: str, after: str) -> bool:
    """Return whether a joiner between these stands in an emoji sequence."""
    if not before or not after:
        return False
    starts = before == "\ufe0f" or unicodedata.category(before) in _SYMBOLS
    return starts and unicodedata.category(after) in _SYMBOLS


def _joins_letters(before: str, after: str) -> bool:
    """Return whether a joiner after ``before`` stands in a word of a script that needs it.

    It may end the word: a final joiner asks for the joining form of a letter that stands alone.
    """
    if _script(before) not in _JOINING_SCRIPTS:
        return False
    return not after or after.isspace() or _script(after) in _JOINING_SCRIPTS or after in ".,;:!?"


def _script(character: str) -> str:
    """Return the script of a letter or mark; empty for other characters."""
    if not character or unicodedata.category(character)[0] not in "LM":
        return ""
    return unicodedata.name(character, "").partition(" ")[0]
