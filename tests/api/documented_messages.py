"""Messages of the API, checked against the AsyncAPI document."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft7Validator, FormatChecker

from api.asyncapi.document import SNAPSHOT, SOCKET, asyncapi_document

Json = dict[str, Any]

# What ``data`` may have in frames that tests append without a cause: they are made up, and only
# their envelopes are checked.
MADE_UP: Final = {"n", "type", "x"}


def is_made_up(message: Any) -> bool:
    """Whether a test has made a frame up."""
    return "prev" in message and set(message["data"]) <= MADE_UP


def closed(value: Any) -> Any:
    """A copy in which objects have no members but the described ones.

    CIDs may be any text, because the markets of tests have made-up ones.
    """
    if isinstance(value, list):
        return [closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    copied = {name: closed(item) for name, item in value.items()}
    if copied.get("format") == "cid":
        del copied["pattern"]
    if copied.get("type") == "object" and isinstance(copied.get("properties"), dict):
        copied.setdefault("additionalProperties", False)
    return copied


class DocumentedMessages:
    """Finds the message of the document that a sent message is."""

    def __init__(self) -> None:
        self.document = asyncapi_document("http://localhost:4000", 4001)
        self._components = closed(copy.deepcopy(self.document["components"]))
        self._validators = {
            name: Draft7Validator(
                {"allOf": [message["payload"]], "components": self._components},
                format_checker=FormatChecker(),
            )
            for name, message in self._components["messages"].items()
        }
        self._addresses = {
            key: re.compile(re.sub(r"\\\{\w+\\\}", "[^:]+", re.escape(channel["address"])))
            for key, channel in self.document["channels"].items()
            if not channel["address"].startswith("/")
        }

    def faults(self, name: str, message: Any) -> list[str]:
        """What the message of this name in the document forbids in ``message``."""
        envelope_only = is_made_up(message)
        return [
            f"{error.json_path}: {error.message[:300]}"
            for error in self._validators[name].iter_errors(message)
            if not (envelope_only and error.json_path.startswith("$.data"))
        ]

    def check(self, message: Any) -> str:
        """Find the message; fails unless exactly one of the document's is like it."""
        faults = {name: self.faults(name, message) for name in self._candidates(message)}
        found = [name for name, wrong in faults.items() if not wrong]
        assert len(found) == 1, f"{str(message)[:500]} is {found or 'not documented'}: {faults}"
        if "snapshot" in message["data"]:
            self._check_snapshot(message["channel"], message["data"]["snapshot"])
        return found[0]

    def _check_snapshot(self, channel: str, snapshot: Any) -> None:
        """Check that a snapshot is that of its channel."""
        (described,) = (
            self.document["channels"][key][SNAPSHOT]
            for key, address in self._addresses.items()
            if address.fullmatch(channel)
        )
        validator = Draft7Validator({"allOf": [described], "components": self._components})
        assert list(validator.iter_errors(snapshot)) == [], channel

    def _candidates(self, message: Any) -> Iterator[str]:
        """Yield the messages that its type and channel allow."""
        keys = [SOCKET]
        if is_made_up(message):
            # On any channel, also where frames of this type never are.
            keys = list(self._addresses)
        elif (name := message.get("channel")) is not None:
            on = [key for key, address in self._addresses.items() if address.fullmatch(name)]
            keys = [*keys, *on] if on else []
        for candidate in {name for key in keys for name in self._messages_of(key)}:
            payload = self.document["components"]["messages"][candidate]["payload"]
            if payload["properties"].get("type", {}).get("const") == message["type"]:
                yield candidate

    def _messages_of(self, key: str) -> Json:
        messages: Json = self.document["channels"][key]["messages"]
        return messages
