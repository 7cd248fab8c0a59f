"""Markets with rows that Schemathesis asks for, so that not every answer is a 404."""

from typing import Final

KNOWN_MARKETS: Final = tuple(bytes([number]) * 32 for number in range(1, 5))
