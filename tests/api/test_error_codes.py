"""The codes of error responses: one list, in the program, the document and docs/api.md."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from api.error_codes import TYPES_PATH, ErrorCode, code_of_program_error, code_of_status
from api.errors import ErrorBody, FieldError, ReachedLimit, error_body
from zmart_pipelines.program.errors import ProgramError

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \|", re.MULTILINE)
_STATUSES = [status.value for status in HTTPStatus if status >= 400]


def test_docs_list_exactly_the_codes() -> None:
    rows = _ROW.findall(PAGE.read_text())
    assert [code for _, code in rows] == [code.value for code in ErrorCode]
    own = {code_of_status(int(status)) for status, _ in rows}
    assert own <= {code for _, code in rows}
    for status, code in rows:
        if ErrorCode(code) in own:
            assert code_of_status(int(status)) == code


def test_codes_are_snake_case_with_meanings_of_their_own() -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in ErrorCode)
    assert len({code.meaning for code in ErrorCode}) == len(ErrorCode)


def test_document_lists_the_codes(client: TestClient[Litestar]) -> None:
    schemas = client.get("/docs/openapi.json").json()["components"]["schemas"]
    assert set(schemas["ErrorCode"]["enum"]) == set(ErrorCode)
    assert "ErrorCode" in str(schemas["ErrorBody"]["properties"]["code"])
    assert {"code", "type", "title", "detail", "instance"} <= set(schemas["ErrorBody"]["required"])


def test_type_of_each_code_is_served(client: TestClient[Litestar]) -> None:
    page = client.get(TYPES_PATH)
    assert page.headers["content-type"].startswith("text/html")
    for code in ErrorCode:
        assert f"id={code}>" in page.text
        assert code.type_uri == f"{TYPES_PATH}#{code}"


@given(
    status=st.sampled_from(_STATUSES),
    message=st.text(),
    code=st.none() | st.sampled_from(ErrorCode),
    fields=st.lists(st.builds(FieldError, st.text(), st.text()), max_size=3),
    request_id=st.none() | st.text(min_size=1),
    limit=st.none() | st.builds(ReachedLimit, st.text(), st.integers(0, 2**53)),
)
def test_every_body_fits_the_schema(
    status: int,
    message: str,
    code: ErrorCode | None,
    fields: list[FieldError],
    request_id: str | None,
    limit: ReachedLimit | None,
) -> None:
    extra = {} if limit is None else {"limit": limit}
    body = error_body(
        status, message, "/p", code=code, fields=fields, request_id=request_id, extra=extra
    )
    sent = msgspec.json.decode(msgspec.json.encode(body))
    assert msgspec.convert(sent, ErrorBody) == body
    assert set(sent) <= set(ErrorBody.__struct_fields__)
    assert sent["error"] == HTTPStatus(status).phrase
    assert sent["code"] == (code or code_of_status(status))
    assert ("details" in sent) == bool(fields)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("AccountNotFound", "insufficient_funds"),
        ("ResultWithNegativeLamports", "insufficient_funds"),
        ("InsufficientFundsForRent", "insufficient_funds"),
        ("TradeTooSmall", "trade_too_small"),
        ("InvalidMarketState", "invalid_market_state"),
        ("InvalidIpfsHash", "simulation_failed"),
        ("Custom(7777)", "simulation_failed"),
    ],
)
def test_program_errors_have_codes(name: str, code: str) -> None:
    assert code_of_program_error(name) == code


def test_mapped_program_errors_exist() -> None:
    """A renamed error of the program would fall back to simulation_failed unnoticed."""
    for error in ProgramError:
        if error.name in {"SlippageExceeded", "InsufficientShares", "AlreadyVoted", "NoWinnings"}:
            assert code_of_program_error(error.name) is not ErrorCode.SIMULATION_FAILED
