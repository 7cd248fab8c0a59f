"""The table of docs/performance.md: measured rows replace theirs, others stay."""

from __future__ import annotations

from benchmarks.report import BEGIN, END, updated_page
from benchmarks.rows import Row


def test_measured_row_replaces_its_own_and_the_rest_stays() -> None:
    old = f"""before
{BEGIN}
| `first` | 1 s | 2 | yes | none | 2026-01-01, 1 |
| `second` | 3 s | 2 | no | none | 2026-01-01, 1 |
{END}
after"""
    row = Row("second", 1500.5, "s", 2000, "a | b", True)
    page = updated_page(old, [row], ["second", "first"], "The machine.", "2026-01-02, 0.5")
    lines = page.splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert [line for line in lines if line.startswith("| `")] == [
        "| `second` | 1,500.5 s | 2,000 | yes | a \\| b | 2026-01-02, 0.5 |",
        "| `first` | 1 s | 2 | yes | none | 2026-01-01, 1 |",
    ]
    assert "The machine." in lines
