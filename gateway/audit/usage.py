"""Who was entitled to what in a month, as exchanges ask, from the audit's files.

A row is a user, a product and the terms of an entitlement: those who could have looked count,
whether they did or not. Beside that, how many sessions of the user were open at once while it was
in force, and, as an extra, how many sessions really asked for the product. A product is a venue's
name, as symbols end with it (`*.XNAS`), or that of its delayed feed.

A session begins where its user is known (`connect`, or a later `auth`), and ends with its `close`,
or when its process starts again: one that was killed could not write. Lines are read in the order
of their time, of all processes together; what is no line is counted.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from gateway.audit.audit import SUFFIX, older_files

SECOND_NS: Final = 1_000_000_000
LINE_BYTES_MAX: Final = 1 << 20
VENUES_MAX: Final = 1000
"""Of a line, and of a session, that are remembered."""


class Terms(NamedTuple):
    """What somebody is entitled to, and how."""

    user: str
    product: str
    professional: bool
    display: bool
    delayed: bool


@dataclass
class Row:
    """One row of the month; times are REALTIME ns, cut to the month.

    Attributes:
        since, until: from when to when; where it was withdrawn and given again, from the first to
            the last.
        sessions_max: of the user's sessions, how many were open at once while it was in force.
        sessions_used: how many of them asked for the product.
    """

    terms: Terms
    since: int
    until: int
    sessions_max: int = 0
    sessions_used: int = 0


@dataclass
class Usage:
    """A month's rows.

    Attributes:
        begins: the first line's time; what was before is not known. 0: there are none.
        unreadable: lines that are none.
        lost: lines that the audit says it has lost in the month.
    """

    rows: list[Row] = field(default_factory=list)
    begins: int = 0
    unreadable: int = 0
    lost: int = 0


def month_of(text: str) -> tuple[int, int]:
    """Where a month such as 2026-11 begins and ends, in UTC.

    Raises:
        ValueError: it is none.
    """
    first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return tuple(int(one.timestamp()) * SECOND_NS for one in (first, first.replace(year, month)))  # type: ignore[return-value]


def usage(directory: Path, since: int, until: int) -> Usage:
    """What the files say of the time between.

    Raises:
        OSError: they can't be read.
    """
    month = _Month(since, until)
    for line in _lines(directory, month.result):
        if month.result.begins == 0:
            month.result.begins = line["ts"]
        if line["ts"] >= until:
            break
        month.take(line)
    return month.finish()


@dataclass
class _Entitled:
    """An entitlement in force: from when, until when (0: no end), and its row, in the month."""

    terms: Terms
    since: int
    until: int
    row: Row | None = None


@dataclass
class _Session:
    user: str
    process: str
    used: set[Terms] = field(default_factory=set)
    venues: set[str] = field(default_factory=set)


class _Month:
    """Goes through the lines, with what is in force and who is there."""

    def __init__(self, since: int, until: int) -> None:
        self.result = Usage()
        self._since = since
        self._until = until
        self._rows: dict[Terms, Row] = {}
        self._entitled: dict[tuple[str, str], _Entitled] = {}  # by user and product
        self._products: dict[str, set[str]] = {}  # by user
        self._sessions: dict[str, _Session] = {}
        self._open: dict[str, int] = {}  # sessions by user
        self._begun = False

    def take(self, line: dict[str, Any]) -> None:
        """The next line."""
        now = line["ts"]
        if now >= self._since and not self._begun:
            self._begin_month()
        match line["event"]:
            case "grant":
                self._grant(line, now)
            case "connect" | "auth":
                self._arrive(line, now)
            case "subscribe":
                self._subscribe(line, now)
            case "close":
                self._leave(str(line.get("id", "")), now)
            case "start":
                gone = [k for k, s in self._sessions.items() if s.process == line["process"]]
                for name in gone:
                    self._leave(name, now)
            case "lost" if now >= self._since:
                self.result.lost += int(line.get("count", 0))

    def finish(self) -> Usage:
        """All rows, by user and product."""
        if not self._begun:
            self._begin_month()
        for user in self._open:  # an entitlement may have begun since the last line
            self._count(user, self._until - 1)
        for session in self._sessions.values():
            self._use(session, self._until - 1)
        for one in self._entitled.values():
            self._enforce(one, self._until)
        self.result.rows = sorted(self._rows.values(), key=lambda row: row.terms)
        return self.result

    def _begin_month(self) -> None:
        """Whoever is there as the month begins was there at once."""
        self._begun = True
        for user in list(self._open):
            self._count(user, self._since)
        for session in self._sessions.values():
            self._use(session, self._since)

    # --- entitlements -----------------------------------------------------------------------------

    def _grant(self, line: dict[str, Any], now: int) -> None:
        user, product = str(line.get("user", "")), str(line.get("product", ""))
        named = {key: bool(line.get(key)) for key in ("professional", "display", "delayed")}
        terms = Terms(user, product, **named)
        before = self._entitled.get((user, product))
        if before is not None:
            self._enforce(before, now)
            del self._entitled[user, product]
            self._products[user].discard(product)
        if line.get("change") == "withdrawn":
            return
        since = int(line.get("from", 0)) or now
        self._entitled[user, product] = _Entitled(terms, since, int(line.get("to", 0)))
        self._products.setdefault(user, set()).add(product)
        if self._begun:
            self._count(user, now)

    def _enforce(self, one: _Entitled, end: int) -> Row | None:
        """Its row, where it was in force in the month before `end`."""
        until = min(end, one.until or end, self._until)
        since = max(one.since, self._since)
        if until <= since:
            return None
        row = self._rows.get(one.terms)
        if row is None:
            row = self._rows[one.terms] = Row(one.terms, since, until)
        row.since, row.until = min(row.since, since), max(row.until, until)
        return row

    def _in_force(self, user: str, now: int) -> Iterator[Row]:
        for product in self._products.get(user, ()):
            one = self._entitled[user, product]
            if not 0 < one.until <= now:
                row = self._enforce(one, now + 1)
                if row is not None:
                    yield row

    # --- sessions ---------------------------------------------------------------------------------

    def _arrive(self, line: dict[str, Any], now: int) -> None:
        name, user = str(line.get("id", "")), str(line.get("user", ""))
        if line["event"] == "auth" and line.get("result") != "ok":
            return
        known = self._sessions.get(name)
        if not name or not user or (known is not None and known.user == user):
            return
        self._leave(name, now)
        self._sessions[name] = _Session(user, line["process"])
        self._open[user] = self._open.get(user, 0) + 1
        if self._begun:
            self._count(user, now)

    def _leave(self, name: str, now: int) -> None:
        session = self._sessions.get(name)
        if session is None:
            return
        if self._begun:  # as above
            self._count(session.user, now)
            self._use(session, now)
        del self._sessions[name]
        self._open[session.user] -= 1
        if not self._open[session.user]:
            del self._open[session.user]

    def _count(self, user: str, now: int) -> None:
        for row in self._in_force(user, now):
            row.sessions_max = max(row.sessions_max, self._open.get(user, 0))

    def _subscribe(self, line: dict[str, Any], now: int) -> None:
        session = self._sessions.get(str(line.get("id", "")))
        if session is None:
            return
        names = line.get("symbols", {})
        for symbols in names.values() if isinstance(names, dict) else ():
            session.venues |= {_venue(str(symbol)) for symbol in symbols[:VENUES_MAX]}
        while len(session.venues) > VENUES_MAX:
            session.venues.pop()
        if self._begun:
            self._use(session, now)

    def _use(self, session: _Session, now: int) -> None:
        for row in self._in_force(session.user, now):
            product = row.terms.product
            asked = any(fnmatchcase(product, venue) for venue in session.venues)
            if asked and row.terms not in session.used:
                session.used.add(row.terms)
                row.sessions_used += 1


def _venue(symbol: str) -> str:
    """The venue of a name or a pattern, as a pattern; a star alone may stand for any."""
    venue = symbol.rpartition(".")[2] if "." in symbol else "*"
    return venue.replace("[", "[[]").replace("?", "[?]")


# --- files ----------------------------------------------------------------------------------------


def _lines(directory: Path, result: Usage) -> Iterator[dict[str, Any]]:
    """Those of all processes, by their time."""
    newest = [path for path in sorted(directory.glob(f"*{SUFFIX}")) if path.name.count(".") == 1]
    names = [path.name.removesuffix(SUFFIX) for path in newest]
    older = {path.name.partition(".")[0] for path in directory.glob(f"*.*{SUFFIX}")}
    each = []
    for name in sorted({*names, *older}):
        files = [*older_files(directory, name), directory / f"{name}{SUFFIX}"]
        each.append(_read(files, result))
    return heapq.merge(*each, key=lambda line: line["ts"])


def _read(files: Iterable[Path], result: Usage) -> Iterator[dict[str, Any]]:
    for path in files:
        if not path.exists():
            continue
        with path.open("rb") as file:
            while data := file.readline(LINE_BYTES_MAX):
                line = _decoded(data)
                if line is None:
                    result.unreadable += 1
                else:
                    yield line


def _decoded(data: bytes) -> dict[str, Any] | None:
    try:
        line = msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    known = isinstance(line, dict) and isinstance(line.get("ts"), int)
    texts = known and all(isinstance(line.get(key), str) for key in ("process", "event"))
    return line if texts else None


# --- showing --------------------------------------------------------------------------------------

COLUMNS: Final = (
    "user",
    "product",
    "professional",
    "display",
    "delayed",
    "from",
    "to",
    "sessions_max",
    "sessions_used",
)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS."""
    terms = row.terms
    flags = (("no", "yes")[flag] for flag in (terms.professional, terms.display, terms.delayed))
    dates = (stamp(row.since), stamp(row.until))
    return (
        terms.user,
        terms.product,
        *flags,
        *dates,
        str(row.sessions_max),
        str(row.sessions_used),
    )


def stamp(ns: int) -> str:
    """A time of day in UTC, to the second."""
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
