"""Log files of supervised processes: bounded, readable while they grow."""

from pathlib import Path

from zmart_pipelines.runtime.log_files import LogFile


def test_each_complete_line_is_returned_once(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "child.log"
    log = LogFile(path)
    assert log.new_lines() == []
    with log.open() as child:
        child.write(b"first\nsec")
        assert log.new_lines() == ["first"]
        child.write("ond ░\n".encode())
        assert log.new_lines() == ["second ░"]
    assert log.new_lines() == []


def test_lines_of_an_earlier_run_are_not_new(tmp_path: Path) -> None:
    path = tmp_path / "child.log"
    path.write_text("yesterday\n")
    log = LogFile(path)
    with log.open() as child:
        child.write(b"today\n")
    assert log.new_lines() == ["today"]
    assert log.tail(5) == ["yesterday", "today"]
    assert log.tail(5, since=len("yesterday\n")) == ["today"]


def test_large_log_is_rotated_while_its_writer_continues(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "child.log", max_bytes=100)
    with log.open() as child:
        child.write(b"x" * 99 + b"\n")
        log.rotate()
        assert log.size() == 100, "within its bound"
        child.write(b"y\n")
        log.rotate()
        child.write(b"z\n")
    assert log.path.read_bytes() == b"z\n"
    assert (tmp_path / "child.log.1").read_bytes().endswith(b"x\ny\n")
    assert log.new_lines() == ["z"]
