"""Users' texts: visible characters in one normal form, whatever the script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.errors import ApiError
from api.requests.user_text import clean_text

ACCEPTED = {
    "family": "Will the 👨‍👩‍👧‍👦 win?",
    "profession with skin tone": "🧑🏽‍🚀 first?",
    "heart": "👩‍❤️‍💋‍👨",
    "rainbow": "🏳️‍🌈",
    "gender": "⛹🏽‍♀️ or 🙂‍↔️",
    "keycap": "#️⃣ 1️⃣",
    "flag of England": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f wins",
    "country": "🇧🇪",
    "Persian": "می‌خواهم",
    "Hindi": "क्‍ष और क्‌ष",
    "Malayalam chillu": "അവന്‍ വന്നു",
    "Sinhala": "ශ්‍රී ලංකා",
    "Arabic": "هل تمطر غدا؟",
    "Hebrew": "האם ירד גשם?",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ ᠤᠯᠤᠰ",
    "Japanese": "明日は　雨？",
    "Korean": "비가 올까요?",
    "accents": "Hört, hört! Ångström",
    "newer emoji than this Python": "\U0001fae8 shaking",
}
REFUSED = {
    "zero width space": "Will\u200b it rain?",
    "joiner alone": "\u200d" * 12,
    "joiner between letters": "ab\u200dcd",
    "non-joiner between letters": "ab\u200ccd",
    "joiner at the end": "rain 🏳️\u200d",
    "word joiner": "a\u2060b",
    "soft hyphen": "a\u00adb",
    "byte order mark": "\ufeffa",
    "override": "Will \u202eYES\u202c win?",
    "isolate": "Will \u2067YES\u2069 win?",
    "right-to-left mark": "a\u200fb",
    "Arabic letter mark": "a\u061cb",
    "Hangul filler": "\u3164" * 12,
    "half-width filler": "a\uffa0b",
    "braille blank": "\u2800" * 12,
    "grapheme joiner": "a\u034fb",
    "Khmer inherent vowel": "a\u17b4b",
    "line separator": "a\u2028b",
    "tags without a flag": "a\U000e0041\U000e0042b",
    "flag without an end": "🏴\U000e0067\U000e0062",
    "selectors that hide data": "a\ufe0f\ufe01\ufe02b",
    "selector at the start": "\ufe0fabc",
    "control": "ring \x07",
    "escape": "\x1b[31mred",
    "next line": "a\x85b",
    "noncharacter": "a\uffffb",
    "private use": "a\ue000b",
    "surrogate": "a\ud800b",
    "musical": "a\U0001d173b",
    "marks only": "\u0301\u0302",
    "spaces only of other kinds": "\u200a\u3000\ufe0f",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_scripts_and_emoji_are_accepted(name: str) -> None:
    text = ACCEPTED[name]
    assert clean_text("content", f" {text}\n") == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("name", REFUSED)
def test_invisible_and_direction_changing_characters_are_refused(name: str) -> None:
    with pytest.raises(ApiError) as caught:
        clean_text("content", REFUSED[name], lines=True)
    assert caught.value.status == 400
    assert caught.value.fields[0].field == "content"


def test_reason_names_character_and_place() -> None:
    with pytest.raises(ApiError, match=r"remove U\+202E \(RIGHT-TO-LEFT OVERRIDE\) at position 6"):
        clean_text("question", "Will \u202eYES")


def test_lines_are_for_texts_of_several_lines() -> None:
    assert clean_text("content", "one\r\ntwo\n\tthree", lines=True) == "one\ntwo\n\tthree"
    for text in ("one\ntwo", "one\ttwo"):
        with pytest.raises(ApiError):
            clean_text("question", text)


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_is_accepted_is_normal_visible_and_accepted_again(text: str) -> None:
    try:
        cleaned = clean_text("content", text, lines=True)
    except ApiError:
        return
    assert cleaned == unicodedata.normalize("NFC", cleaned).strip()
    assert clean_text("content", cleaned, lines=True) == cleaned
    cleaned.encode()
    assert not any(unicodedata.bidirectional(char) in BIDI for char in cleaned)


BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
