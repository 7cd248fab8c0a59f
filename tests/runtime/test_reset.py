"""``zmart reset``: what it deletes, and when it refuses."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zmart_pipelines.cli import main
from zmart_pipelines.runtime.state_folder import StateFolder
from zmart_pipelines.runtime.supervisor import Lock


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StateFolder:
    """A state folder with data, and a file of the user's in it."""
    folder = StateFolder(tmp_path / "state")
    folder.prepare()
    folder.secret("webhook")
    (folder.root / "postgres" / "data").mkdir(parents=True)
    (folder.root / "notes.txt").write_text("of the user")
    monkeypatch.setenv("ZMART_STATE", str(folder.root))
    return folder


def reset(*options: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["reset", *options], input=answer)


def test_deletes_the_data_and_nothing_else(state: StateFolder) -> None:
    done = reset("--yes")
    assert done.exit_code == 0, done.output
    assert {path.name for path in state.root.iterdir()} == {"up.lock", "notes.txt"}
    assert "nothing to delete" in reset("--yes").output


def test_deletes_a_cluster_outside_the_state_folder(state: StateFolder, tmp_path: Path) -> None:
    home = tmp_path / "var" / "cluster"
    home.mkdir(parents=True)
    (state.root / "postgres.place").write_text(f"{home}\n")
    assert str(home) in reset(answer="y\n").output
    assert not home.exists()


def test_asks_before_it_deletes(state: StateFolder) -> None:
    refused = reset(answer="n\n")
    assert refused.exit_code == 1
    assert str(state.secrets) in refused.output
    assert (state.root / "postgres" / "data").exists()
    assert reset(answer="y\n").exit_code == 0
    assert not (state.root / "postgres").exists()


def test_refuses_while_the_system_runs(state: StateFolder) -> None:
    lock = Lock(state.lock)
    lock.acquire({"API": "http://x"})
    try:
        refused = reset("--yes")
    finally:
        lock.release()
    assert refused.exit_code == 3
    assert "already running: pid " in refused.output
    assert (state.root / "postgres" / "data").exists()


def test_refuses_when_the_database_is_external(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hush@db.example/zmart")
    refused = reset("--yes")
    assert refused.exit_code == 1
    assert "DATABASE_URL is set" in refused.output
    assert "hush" not in refused.output
    assert (state.root / "postgres" / "data").exists()


def test_folder_without_data_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZMART_STATE", str(tmp_path))
    (tmp_path / "notes.txt").write_text("of the user")
    assert reset("--yes").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
