import pytest

from zmart_pipelines.program.errors import ProgramError, custom_code, describe, name_of


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (6000, "InvalidFeeConfiguration"),
        (6005, "InvalidGlobalConfig"),
        (6007, "InvalidMarketState"),
        (6029, "Unauthorized"),
        (6034, "UnderflowError"),
        (6051, "InvalidStateForVoting"),
        (0, "AccountAlreadyInUse"),
        (1, "ResultWithNegativeLamports"),
        (101, "InstructionFallbackNotFound"),
        (2006, "ConstraintSeeds"),
        (3012, "AccountNotInitialized"),
        (6052, "Custom(6052)"),
        (42, "Custom(42)"),
    ],
)
def test_names(code: int, name: str) -> None:
    assert name_of(code) == name


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        ({"InstructionError": [0, {"Custom": 6007}]}, 6007, "InvalidMarketState"),
        ({"InstructionError": [2, "InvalidArgument"]}, None, "InvalidArgument"),
        ({"InsufficientFundsForRent": {"account_index": 1}}, None, "InsufficientFundsForRent"),
        ("BlockhashNotFound", None, "BlockhashNotFound"),
        ({"InstructionError": [0]}, None, "InstructionError"),
        ({"InstructionError": [0, {"Custom": "x"}]}, None, "{'Custom': 'x'}"),
        (None, None, "None"),
    ],
)
def test_errors_in_rpc_form(error: object, code: int | None, text: str) -> None:
    assert custom_code(error) == code
    assert describe(error) == text


def test_every_error_has_a_message() -> None:
    messages = [error.message for error in ProgramError]
    assert all(messages)
    assert len(set(messages)) == len(messages)
