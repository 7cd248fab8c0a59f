"""Pinata as a pin store, through the pinata-python package.

The package posts without a timeout, returns errors as dictionaries, accepts only paths and
offers no CID version. The adapter adds a timeout, asks for CIDv0, turns errors into
:class:`PinError` without the token, passes a temporary file, and accepts a response only when it
names the block whose CID was computed here, as CIDv0 or as the CIDv1 of the same multihash.
Reading bypasses the package: its gateway call would send the token to the gateway and buffer a
response of any size.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from pinata_python import pinning
from pydantic import SecretStr

from zmart_pipelines.ipfs.blocks import fetch
from zmart_pipelines.ipfs.cid import names_block
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound, folder_error

# Without it Pinata chooses the version.
_OPTIONS = {"pinataOptions": json.dumps({"cidVersion": 0})}


class PinataPinStore:
    """Pins at Pinata and keeps every pinned block in the local store as well."""

    def __init__(
        self,
        jwt: SecretStr,
        local: LocalPinStore,
        *,
        api_url: str,
        gateway_url: str,
        timeout: float = 20.0,
    ) -> None:
        """Choose the account and its addresses; nothing is sent yet.

        Args:
            jwt: the account's token.
            local: keeps every block that is pinned or read.
            api_url: of Pinata's API.
            gateway_url: of the gateway; a CID follows after a slash.
            timeout: for connecting, and for each pause within a response, in seconds.
        """
        self._local = local
        self._timeout = timeout
        self._gateway = _with_slash(gateway_url)
        self._jwt = jwt
        self._api = _with_slash(api_url)

    def pin(self, data: bytes) -> str:
        """Pin locally and at Pinata; :class:`PinError` unless Pinata names the same block."""
        cid = self._local.pin(data)
        try:
            with tempfile.TemporaryDirectory(prefix="zmart-pin-") as folder:
                path = Path(folder) / cid
                path.write_bytes(data)
                response = self._call(path)
        except OSError as error:
            raise folder_error(Path(tempfile.gettempdir()), error) from None
        if "error" in response:
            reason = response.get("reason", "")
            raise PinError(f"Pinata responded with {response['error']} {reason}".strip())
        pinned = response.get("IpfsHash")
        if not isinstance(pinned, str) or not names_block(pinned, cid):
            raise PinError(f"Pinata pinned {pinned!r} instead of {cid}; its pin is not used")
        return cid

    def get(self, cid: str) -> bytes:
        """Return the bytes from the local store or the gateway, checked against ``cid``."""
        try:
            return self._local.get(cid)
        except PinNotFound:
            data = fetch(self._gateway, cid, self._timeout)
        with contextlib.suppress(PinError):
            # Kept so that the next read needs no gateway; checked already, so it can be returned.
            self._local.pin(data)
        return data

    def fetch_back(self, cid: str) -> bytes:
        """Return the bytes from the gateway, checked against ``cid``."""
        return fetch(self._gateway, cid, self._timeout)

    def unpin(self, cid: str) -> None:
        """Unpin at Pinata, then locally, so that what fails here is tried again."""
        response = self._request(lambda client: client.unpin(cid))
        # A pin that is not there is what was wanted.
        if isinstance(response, dict) and response.get("error") not in (None, 404):
            raise PinError(f"Pinata responded with {response['error']} to an unpinning")
        self._local.unpin(cid)

    def used_bytes(self) -> int:
        """Return the size of what the account has pinned, in bytes, as Pinata counts it.

        Raises:
            PinError: Pinata cannot be reached, refuses, or its answer has no such number.
        """
        try:
            answer = requests.get(
                f"{self._api}data/userPinnedDataTotal",
                headers={"Authorization": f"Bearer {self._jwt.get_secret_value()}"},
                timeout=self._timeout,
            )
            answer.raise_for_status()
            size = int(answer.json()["pin_size_total"])
        except (
            requests.RequestException,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as e:
            raise PinError(f"Pinata names no size of its pins: {type(e).__name__}") from None
        if size < 0:
            raise PinError(f"Pinata names a size of {size} bytes of its pins")
        return size

    def _call(self, path: Path) -> dict[str, Any]:
        response = self._request(lambda client: client.pin_file_to_ipfs(str(path)))
        if not isinstance(response, dict):
            raise PinError(f"Pinata responded with {type(response).__name__}, not an object")
        return response

    def _request(self, act: Callable[[Any], Any]) -> Any:
        # The package calls functions of its own ``requests``; only here can a timeout be set.
        pinning.requests = SimpleNamespace(post=self._post, delete=self._delete)
        # Created for each call, because the package's client has its token in its repr.
        client = pinning.Pinning(AUTH="jwt", PINATA_JWT_TOKEN=self._jwt.get_secret_value())
        client.PINATA_BASE_URL = self._api
        try:
            return act(client)
        except (requests.RequestException, ValueError) as error:
            raise PinError(f"Pinata could not be reached: {type(error).__name__}") from None

    def _delete(self, url: str, **arguments: Any) -> requests.Response:
        return requests.delete(url, timeout=self._timeout, **arguments)

    def _post(self, url: str, **arguments: Any) -> requests.Response:
        return requests.post(url, timeout=self._timeout, data=_OPTIONS, **arguments)


def _with_slash(url: str) -> str:
    return url.rstrip("/") + "/"
