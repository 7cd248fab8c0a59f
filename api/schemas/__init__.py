"""What answers look like: the rows of the tables in the names that clients know.

Integers are integers; the fields of a row that may pass 2^53 stand once more, as text,
under ``exact``. Times are ISO 8601 in UTC; a time the chain has not set is null.
"""

from api.schemas.common import PRICE_SCALE, chain_time, fraction, iso
from api.schemas.community import Comment, comment
from api.schemas.markets import Market, market
from api.schemas.trading import Holding, Position, Trade, holding, position, trade
from api.schemas.voting import Ballot, Vote, ballot, choice_word, vote

__all__ = [
    "PRICE_SCALE",
    "Ballot",
    "Comment",
    "Holding",
    "Market",
    "Position",
    "Trade",
    "Vote",
    "ballot",
    "chain_time",
    "choice_word",
    "comment",
    "fraction",
    "holding",
    "iso",
    "market",
    "position",
    "trade",
    "vote",
]
