"""The comparison with other servers as a table: for a terminal, and as Markdown for a README."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.loadtest import units
from gateway.loadtest.peers import FLOOR, Figures, PeersResult, SettingResult

HEADINGS = ("server", "CPU a delivery", "of the floor", "p50", "p99", "reach", "a second", "memory")
BOTTLENECK = "the clients themselves were the bottleneck in a round or more: ages are theirs too"
_CLIENTS = "*"


def print_peers(result: PeersResult, console: Console) -> None:
    """Prints the tables, and below them who is not in them and why."""
    for one in result.settings:
        console.print(Text(heading(one), "bold"))
        table = Table(box=None, pad_edge=False, header_style="dim")
        for number, name in enumerate(HEADINGS):
            table.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in rows(one):
            table.add_row(*map(Text, row))
        console.print(table)
        console.print()
    for note in notes(result):
        console.print(Text(note))


def markdown(result: PeersResult) -> str:
    """The same as Markdown."""
    parts = []
    for one in result.settings:
        parts.append(f"**{heading(one)}**\n")
        parts.append(_line(HEADINGS))
        parts.append(_line([":--", *["--:"] * (len(HEADINGS) - 1)]))
        parts += [_line(row) for row in rows(one)]
        parts.append("")
    parts += [f"- {note}" for note in notes(result)]
    return "\n".join(parts) + "\n"


def heading(one: SettingResult) -> str:
    """A load in words."""
    setting = one.setting
    ticks, total = units.rate(setting.rate), units.rate(setting.rate * setting.clients)
    return f"{setting.name}: {ticks} to each of {setting.clients:,} clients, {total} in all"


def rows(one: SettingResult) -> Iterator[tuple[str, ...]]:
    """The cells of each server that ran, medians over the rounds."""
    for peer in one.peers:
        name = peer.version or peer.name
        if peer.median is None:
            yield (name, "failed", *["-"] * (len(HEADINGS) - 2))
        else:
            yield (name, *_cells(peer.name, peer.median))


def notes(result: PeersResult) -> Iterator[str]:
    """What the tables do not say."""
    rounds = "round" if result.rounds == 1 else "rounds"
    yield (
        f"medians of {result.rounds} {rounds} of {result.duration_s:g} s, all servers in turn;"
        " the floor is a bare loop of send(), and ratios are to that of the same round"
    )
    ran = [peer for one in result.settings for peer in one.peers]
    if any(peer.median and not peer.median.valid for peer in ran):
        yield f"{_CLIENTS} {BOTTLENECK}"
    for one in result.settings:
        for peer in one.peers:
            if peer.errors:
                first, times = peer.errors[0].splitlines()[0], len(peer.errors)
                yield f"{peer.name} failed in {times} of {len(peer.rounds)} rounds: {first}"
            if peer.median and peer.median.closed:
                yield f"{peer.name} hung up on {peer.median.closed} clients ({one.setting.name})"
    for name, reason in result.skipped.items():
        yield f"without {name}: {reason}"


def _cells(name: str, median: Figures) -> tuple[str, ...]:
    def shown(value: float | None, text: str) -> str:
        return "-" if value is None else text.format(value)

    mark = "" if median.valid else _CLIENTS
    return (
        shown(median.cpu_us, "{:.2f} µs"),
        "1" if name == FLOOR else shown(median.floor_ratio, "{:.2f}"),
        units.duration(median.p50_us) + mark,
        units.duration(median.p99_us) + mark,
        "-" if median.reach is None else units.share(median.reach),
        units.rate(median.per_s),
        "-" if median.rss_mb is None else units.memory(median.rss_mb),
    )


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
