"""Pinata as a pin store, through the pinata-python package.

The package posts without a timeout, returns errors as dictionaries, takes paths only and
offers no CID version. The adapter gives its calls a time limit, turns its errors into
:class:`PinError` without the token in them, hands it a temporary file, and accepts an
answer only when it names the CID that was computed here. Reading does not go through the
package: its gateway call would send the token to the gateway and buffer any size.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import requests
from pinata_python import pinning
from pydantic import SecretStr

from zmart_pipelines.ipfs.blocks import fetch
from zmart_pipelines.ipfs.pin_store import LocalPinStore, PinError, PinNotFound

GATEWAY = "https://gateway.pinata.cloud/ipfs/"


class PinataPinStore:
    """Pins at Pinata and keeps every pinned block in the local store as well.

    ``timeout`` bounds connecting and every pause of an answer, in seconds. ``base_url`` and
    ``gateway`` end in a slash.
    """

    def __init__(
        self,
        jwt: SecretStr,
        local: LocalPinStore,
        *,
        timeout: float = 20.0,
        base_url: str | None = None,
        gateway: str = GATEWAY,
    ) -> None:
        self._local = local
        self._timeout = timeout
        self._gateway = gateway
        self._jwt = jwt
        self._base_url = base_url

    def pin(self, data: bytes) -> str:
        """Pins here and at Pinata; :class:`PinError` unless Pinata names the same CID."""
        cid = self._local.pin(data)
        with tempfile.TemporaryDirectory(prefix="zmart-pin-") as folder:
            path = Path(folder) / cid
            path.write_bytes(data)
            answer = self._call(path)
        if "error" in answer:
            raise PinError(f"Pinata answered {answer['error']} {answer.get('reason', '')}".strip())
        named = answer.get("IpfsHash")
        if named != cid:
            raise PinError(f"Pinata pinned {named!r} where {cid} was expected; nothing is used")
        return cid

    def get(self, cid: str) -> bytes:
        """The bytes from the local store, else from the gateway, checked against ``cid``."""
        try:
            return self._local.get(cid)
        except PinNotFound:
            data = fetch(self._gateway, cid, self._timeout)
        self._local.pin(data)
        return data

    def _call(self, path: Path) -> dict[str, Any]:
        # The package calls ``requests.post`` of its own module; this is the one place where
        # a time limit can be put under it.
        pinning.requests = SimpleNamespace(post=self._post)
        # Made anew for each call: the package's client prints its token in its repr.
        client = pinning.Pinning(AUTH="jwt", PINATA_JWT_TOKEN=self._jwt.get_secret_value())
        if self._base_url is not None:
            client.PINATA_BASE_URL = self._base_url
        try:
            answer = client.pin_file_to_ipfs(str(path))
        except (requests.RequestException, ValueError) as error:
            raise PinError(f"Pinata could not be reached: {type(error).__name__}") from None
        if not isinstance(answer, dict):
            raise PinError(f"Pinata answered with {type(answer).__name__}, not an object")
        return answer

    def _post(self, url: str, **arguments: Any) -> requests.Response:
        return requests.post(url, timeout=self._timeout, **arguments)
