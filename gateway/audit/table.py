"""`tickgate usage`: the month's rows as a table, or as CSV for a spreadsheet."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gateway.audit.usage import COLUMNS, cells, month_of, stamp, usage
from gateway.text import plain

EXIT_USAGE = 2
EXIT_FAILED = 1


def show(month: str, directory: Path, out: TextIO, *, as_csv: bool = False) -> int:
    """Prints who was entitled in the month; 1 where the files say nothing of it, 2: no month."""
    try:
        since, until = month_of(month)
    except ValueError:
        print(f"tickgate: {plain(month)} is no month such as 2026-11", file=sys.stderr)
        return EXIT_USAGE
    if not directory.is_dir():
        print(f"tickgate: {directory} is no directory (audit.path)", file=sys.stderr)
        return EXIT_FAILED
    found = usage(directory, since, until)
    rows = [COLUMNS, *map(cells, found.rows)]
    if as_csv:
        csv.writer(out).writerows([_inert(cell) for cell in row] for row in rows)
    else:
        columns(rows, out)
    for warning in _warnings(found.begins, since, found.unreadable, found.lost):
        print(f"tickgate: {warning}", file=sys.stderr)
    return 0 if found.begins and found.begins < until else EXIT_FAILED


def columns(rows: Sequence[Sequence[str]], out: TextIO) -> None:
    """Prints rows below one another, of which the first is the head."""
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip(), file=out)


def _inert(cell: str) -> str:
    """What no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _warnings(begins: int, since: int, unreadable: int, lost: int) -> list[str]:
    """What the rows may lack."""
    words = []
    if not begins:
        words.append("there is no audit in this directory")
    elif begins > since:
        words.append(f"the audit begins at {stamp(begins)}: what was before is not known")
    if unreadable:
        words.append(f"{unreadable} lines could not be read")
    if lost:
        words.append(f"the audit lost {lost} lines in this month")
    return words
