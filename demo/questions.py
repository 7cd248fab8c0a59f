"""The questions and comments of the cast."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Category = Literal["politics", "sports", "crypto", "science", "entertainment", "other"]


@dataclass(frozen=True)
class Topic:
    """A question with a placeholder for its date, and how many hours ahead the date is."""

    question: str
    description: str
    category: Category
    tags: tuple[str, ...]
    hours: int

    def ends_at(self, now: datetime) -> datetime:
        """Return the full hour at which the question is decided."""
        return (now + timedelta(hours=self.hours)).replace(minute=0, second=0, microsecond=0)

    def ask(self, now: datetime) -> str:
        """Return the question with its date."""
        return self.question.format(when=f"{self.ends_at(now):%-d %B %Y, %H:%M} UTC")


TOPICS: tuple[Topic, ...] = (
    Topic(
        "Will SOL trade above $200 on {when}?",
        "Decided by the SOL/USD index price of three large exchanges, median, at that minute.",
        "crypto",
        ("solana", "price"),
        2,
    ),
    Topic(
        "Will the home side win tonight's derby (kick-off before {when})?",
        "Regular time and stoppage time count; extra time and penalties do not.",
        "sports",
        ("football",),
        4,
    ),
    Topic(
        "Will the ferry strike be called off by {when}?",
        "Yes if the operator and the union both announce it publicly.",
        "politics",
        ("labour", "transport"),
        48,
    ),
    Topic(
        "Will a magnitude 6 or stronger earthquake be recorded before {when}?",
        "Worldwide, by the first reviewed magnitude in the USGS catalogue.",
        "science",
        ("earth",),
        72,
    ),
    Topic(
        "Will the festival's opening film get a standing ovation by {when}?",
        "As reported by at least two of the trade papers present.",
        "entertainment",
        ("film",),
        24,
    ),
    Topic(
        "Will median priority fees on Solana stay below 20,000 micro-lamports until {when}?",
        "Median of getRecentPrioritizationFees, sampled every ten minutes.",
        "crypto",
        ("solana", "fees"),
        12,
    ),
    Topic(
        "Will it snow in Tromsø before {when}?",
        "At least one centimetre at the weather institute's station.",
        "other",
        ("weather",),
        36,
    ),
    Topic(
        "Will the marathon be won in under 2:05:00 ({when})?",
        "Official gun time of the first finisher who is not disqualified.",
        "sports",
        ("running",),
        60,
    ),
    Topic(
        "Will the rover send a new panorama before {when}?",
        "A mosaic of at least ten frames on the mission's raw image page.",
        "science",
        ("space", "mars"),
        96,
    ),
    Topic(
        "Will the coalition agree on a budget by {when}?",
        "Yes if all partners have signed the text; a press conference is not enough.",
        "politics",
        ("budget",),
        120,
    ),
    Topic(
        "Will BTC's dominance be above 55 % on {when}?",
        "Mean of two public aggregators at that minute.",
        "crypto",
        ("bitcoin",),
        8,
    ),
    Topic(
        "Will the series finale have more viewers than the pilot by {when}?",
        "By the broadcaster's published overnight numbers.",
        "entertainment",
        ("television",),
        30,
    ),
    Topic(
        "Will the chess match end in a draw before {when}?",
        "The classical games count; tie-breaks do not.",
        "sports",
        ("chess",),
        6,
    ),
    Topic(
        "Will the city's main station reopen by {when}?",
        "Yes once a scheduled train has stopped with passengers aboard.",
        "other",
        ("transport",),
        54,
    ),
)

REMARKS: tuple[str, ...] = (
    "The rules are clear enough for me. In.",
    "Everybody forgets how often the favourite loses here.",
    "Priced too high, I take the other side.",
    "What counts as the source if the two disagree?",
    "The median of three. It is in the description.",
    "I would not bet the house on it, but half a SOL is fine.",
    "Volume is thin, careful with the slippage.",
    "Same story as last year, and last year it was no.",
    "Thanks for proposing this, I was about to.",
    "The weather will decide it.",
    "Whoever resolves this: please link the evidence.",
    "I changed my mind twice while reading this thread.",
    "The odds moved five points in a minute, what happened?",
    "Someone large bought. That is all.",
    "See you at the window.",
    "Good question, bad deadline.",
)
