from collections.abc import Iterator

import pytest

from tests.chain.endpoint import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A scripted RPC endpoint."""
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture
def other() -> Iterator[Endpoint]:
    """A second one."""
    server = Endpoint()
    yield server
    server.close()
