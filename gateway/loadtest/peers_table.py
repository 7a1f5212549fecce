"""The comparison with other servers as a table: for a terminal, and as Markdown for a README.

It fits 80 columns; where the output is no terminal it is the same without colours.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.loadtest import units
from gateway.loadtest.markdown import table
from gateway.loadtest.peers import FLOOR, Figures, PeersResult, SettingResult

HEADINGS = ("server", "CPU", "x floor", "p50", "p99", "reach", "rate", "memory")
MEANING = (
    "CPU: time of all the server's processes for each tick that a client got; x floor: of what a"
    " bare loop of send() took in the same round; p50 and p99: age of ticks at the clients; reach:"
    " ticks that clients got of those that were due; rate: those a second; memory:"
    " the most seen, as PSS"
)
BOTTLENECK = "the clients themselves were the bottleneck in a round or more: ages are theirs too"
_MARK = "*"
RESIDENT = "resident memory (RSS): the kernel told no PSS"
_RESIDENT_MARK = "†"


def print_peers(result: PeersResult, console: Console) -> None:
    """Prints the tables, and below them who is not in them and why."""
    for one in result.settings:
        console.print(Text(heading(one), "bold"))
        shown = Table(box=None, pad_edge=False, header_style="dim")
        for number, name in enumerate(HEADINGS):
            shown.add_column(name, justify="right" if number else "left", no_wrap=True)
        for row in rows(one):
            shown.add_row(*map(Text, row))
        console.print(shown)
        console.print()
    for note in notes(result):
        console.print(Text(note))


def markdown(result: PeersResult) -> str:
    """The same as Markdown."""
    parts = []
    for one in result.settings:
        parts.append(f"**{heading(one)}**\n")
        parts.append(table(HEADINGS, rows(one)))
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
        if peer.median is None:
            yield (peer.name, "failed", *["-"] * (len(HEADINGS) - 2))
        else:
            yield (peer.name, *_cells(peer.name, peer.median))


def notes(result: PeersResult) -> Iterator[str]:
    """What the tables do not say."""
    yield MEANING
    rounds = "round" if result.rounds == 1 else "rounds"
    yield f"medians of {result.rounds} {rounds} of {result.duration_s:g} s, all servers in turn"
    ran = [peer for one in result.settings for peer in one.peers]
    versions = dict.fromkeys(peer.version for peer in ran if peer.version)
    yield f"versions: {'; '.join(versions)}"
    if any(peer.median and not peer.median.valid for peer in ran):
        yield f"{_MARK} {BOTTLENECK}"
    if any(peer.median and peer.median.pss_mb is None for peer in ran):
        yield f"{_RESIDENT_MARK} {RESIDENT}"
    for one in result.settings:
        yield from _failures(one)
    for name, reason in result.skipped.items():
        yield f"without {name}: {reason}"


def _failures(one: SettingResult) -> Iterator[str]:
    for peer in one.peers:
        where = f"{one.setting.name}: {peer.name}"
        if peer.errors:
            first, times = peer.errors[0].splitlines()[0], len(peer.errors)
            yield f"{where} failed in {times} of {len(peer.rounds)} rounds: {first}"
        if peer.median and peer.median.closed:
            yield f"{where} hung up on {peer.median.closed} clients"


def _cells(name: str, median: Figures) -> tuple[str, ...]:
    def shown(value: float | None, text: str) -> str:
        return "-" if value is None else text.format(value)

    mark = "" if median.valid else _MARK
    return (
        shown(median.cpu_us, "{:.2f} µs"),
        "1" if name == FLOOR else shown(median.floor_ratio, "{:.2f}"),
        "-" if median.p50_us is None else units.duration(median.p50_us) + mark,
        "-" if median.p99_us is None else units.duration(median.p99_us) + mark,
        "-" if median.reach is None else units.share(median.reach),
        units.rate(median.per_s),
        _memory(median),
    )


def _memory(median: Figures) -> str:
    if median.pss_mb is not None:
        return units.memory(median.pss_mb)
    return "-" if median.rss_mb is None else units.memory(median.rss_mb) + _RESIDENT_MARK
