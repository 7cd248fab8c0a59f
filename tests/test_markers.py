"""The rule by which tests become unit tests, on a small test suite of its own."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.process

CONFTEST = 'pytest_plugins = ["tests.fixtures.unit_marker", "tests.fixtures.postgres"]'
SUITE = """
    import subprocess
    import sys
    import pytest

    @pytest.fixture
    def row():
        return 1

    @pytest.fixture
    def engine(postgres_url):
        return postgres_url

    @pytest.fixture
    def child():
        return subprocess.run([sys.executable, "-c", ""], check=True)

    def test_pure(row, tmp_path):
        assert row == 1

    def test_with_database(postgres_url): ...
    def test_with_database_behind_another_fixture(engine): ...

    @pytest.mark.process
    def test_marked(child): ...

    @pytest.mark.slow
    def test_slow(): ...

    @pytest.mark.system
    def test_system(): ...

    def test_starts_a_process():
        subprocess.run([sys.executable, "-c", ""], check=True)

    def test_starts_a_process_in_a_fixture(child): ...
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SUITE)
    config = Path(__file__).parents[1] / "pyproject.toml"
    pytester.plugins = []
    pytester.makefile(".toml", pyproject=config.read_text().split("[tool.importlinter]")[0])
    pytester.syspathinsert(config.parent)
    return pytester


def test_fixtures_decide_what_is_a_unit_test(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-m", "unit", "--collect-only", "-q")
    collected = {line.split("::")[1] for line in result.outlines if "::" in line}
    assert collected == {
        "test_pure",
        "test_starts_a_process",
        "test_starts_a_process_in_a_fixture",
    }


def test_unit_test_that_starts_a_process_fails_with_the_remedy(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("-m", "unit")
    result.assert_outcomes(passed=1, failed=1, errors=1, deselected=5)
    result.stdout.fnmatch_lines(["*mark it with @pytest.mark.process*"])


def test_marked_test_may_start_processes(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess("-m", "process").assert_outcomes(passed=1, deselected=7)
