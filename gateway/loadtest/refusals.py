"""What a server refused, of all processes together: by kind, code and message, in a bounded list.

Each process keeps a bounded table (`gateway._native.Swarm.refused`); messages that differ only in
their numbers are one row there, and are one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, get_args

from gateway.loadtest.result import Refusal, RefusalKind

Row = tuple[str, str, str | None, int]
"""Kind, code, message and how often; see `gateway._native.Swarm.refused`."""

ROWS_MAX: Final = 64
"""Of the list: what is rarer than the others is one row of its kind."""
_KINDS: Final[tuple[RefusalKind, ...]] = get_args(RefusalKind)
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*", re.ASCII)


def merged(tables: Iterable[Iterable[Row]]) -> list[Refusal]:
    """The refusals of all processes, in the order of kinds, the most frequent first."""
    found: dict[tuple[RefusalKind, str, str | None], Refusal] = {}
    for kind, code, message, count in (row for table in tables for row in table):
        if kind not in _KINDS:
            raise ValueError(f"kind {kind!r} is none of {', '.join(_KINDS)}")
        _add(found, Refusal(kind=kind, code=code, message=message, count=count))
    rows = sorted(found.values(), key=lambda row: -row.count)
    kept = {_key(row): row for row in rows[: ROWS_MAX - len(_KINDS)]}
    for row in rows[ROWS_MAX - len(_KINDS) :]:
        _add(kept, Refusal(kind=row.kind, code="", message=None, count=row.count))
    return sorted(kept.values(), key=lambda row: (_KINDS.index(row.kind), -row.count, row.code))


def said(code: str, message: str | None) -> str:
    """A code and what was said with it, in words."""
    if message is None:
        return f"{code}, other messages" if code else "others"
    return ": ".join(part for part in (code, message) if part) or "without a code"


def _key(row: Refusal) -> tuple[RefusalKind, str, str | None]:
    message = None if row.message is None else _NUMBER.sub("0", row.message)
    return row.kind, row.code, message


def _add(to: dict[tuple[RefusalKind, str, str | None], Refusal], row: Refusal) -> None:
    known = to.get(_key(row))
    if known is not None:
        row = Refusal(
            kind=row.kind, code=row.code, message=known.message, count=known.count + row.count
        )
    to[_key(row)] = row
