"""The measured parts of pages that are written by hand otherwise: what stands between their two marks."""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import Report
from benchmarks.results import Samples

_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def fill(page: Path, text: str, *, quick: bool) -> None:
    """Replace what stands between the marks of a page, where there is such a page."""
    if not page.exists():
        return
    before, _, rest = page.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    warning = "*From a run with `--quick`: these numbers mean nothing.*\n\n" if quick else ""
    page.write_text(f"{before}{_BEGIN}\n\n{warning}{text}\n\n{_END}{after}")


def median(report: Report, key: str, row: str, column: int, first: str = "") -> float | None:
    """Return the median in a row of an answer, the one whose first cell is `first` where there are several."""
    answer = report.answers.get(key)
    rows = answer.rows if answer else []
    cells = next((cells for name, cells in rows if name == row and (not first or str(cells[0]) == first)), None)
    cell = cells[column] if cells else None
    return cell.median if isinstance(cell, Samples) else None
