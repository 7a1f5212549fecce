"""What a person sees while a load test runs: a table that renews itself, or plain lines.

It goes to standard error, so that the result can be piped. A terminal gets the table; whatever else
reads along gets a line a second at most.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

from gateway.loadtest import units
from gateway.loadtest.timeline import Snapshot

if TYPE_CHECKING:
    from rich.table import Table

LINE_INTERVAL_S = 1.0
GRACE_S = 0.1
"""Progress comes on a grid of half seconds, each a little late: a second of it is a second."""


class View(Protocol):
    """Shows how far a load test is."""

    def note(self, text: str) -> None:
        """Says what begins."""

    def say(self, text: str) -> None:
        """Says what stays to be read."""

    def show(self, snapshot: Snapshot, clients: int) -> None:
        """Shows the last interval; `clients` is how many should be open."""

    def __enter__(self) -> View: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def view(out: TextIO, *, quiet: bool = False) -> View:
    """The view that suits the stream."""
    if quiet:
        return Quiet()
    return Live(out) if out.isatty() else Lines(out)


def cells(snapshot: Snapshot, clients: int) -> list[tuple[str, str]]:
    """What is shown, with its headings."""
    return [
        ("", snapshot.phase),
        ("clients", f"{snapshot.open}/{clients}"),
        ("rate", units.rate(snapshot.per_s)),
        ("p50", _age(snapshot.p50_us)),
        ("p99", _age(snapshot.p99_us)),
        ("max", _age(snapshot.max_us)),
        ("gaps", str(snapshot.gaps)),
        ("conflated", str(snapshot.conflated)),
        ("left", f"{snapshot.left_s:.0f} s"),
    ]


def _age(us: float) -> str:
    return units.duration(us) if us else "-"  # nothing that counts has come


class Quiet:
    """Shows nothing."""

    def note(self, text: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def show(self, snapshot: Snapshot, clients: int) -> None:
        pass

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Lines(Quiet):
    """A line a second at most."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown_s = -LINE_INTERVAL_S

    def note(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def say(self, text: str) -> None:
        self.note(text)

    def show(self, snapshot: Snapshot, clients: int) -> None:
        now = time.monotonic()
        if now - self._shown_s < LINE_INTERVAL_S - GRACE_S:
            return
        self._shown_s = now
        words = (f"{name} {value}".strip() for name, value in cells(snapshot, clients))
        print("  ".join(words), file=self._out, flush=True)


class Live(Quiet):
    """A table that renews itself, and goes when all is over."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console(file=out)
        # Without a thread of its own that draws: processes are started while it is shown.
        self._live = RichLive(console=self._console, auto_refresh=False, transient=True)

    def note(self, text: str) -> None:
        from rich.text import Text

        self._live.update(Text(text, style="dim"), refresh=True)

    def say(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text))

    def show(self, snapshot: Snapshot, clients: int) -> None:
        self._live.update(_table(snapshot, clients), refresh=True)

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


def _table(snapshot: Snapshot, clients: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    found = cells(snapshot, clients)
    for name, _ in found:
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    trouble = "red" if snapshot.gaps or snapshot.open < clients else None
    table.add_row(*(value for _, value in found), style=trouble)
    return table
