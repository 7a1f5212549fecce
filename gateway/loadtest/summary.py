"""The closing table of a load test: what was delivered, how old it was, what it cost, the verdict.

Made for a terminal of 80 columns; where the output is no terminal it is the same without colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.loadtest import units
from gateway.loadtest.class_table import tables
from gateway.loadtest.result import Latency, Result
from gateway.loadtest.thresholds import verdict_line
from gateway.text import plain

REFUSALS_SHOWN = 12
"""Rows for a terminal; the result and the page have all."""
_STYLES = {"pass": "bold green", "fail": "bold red", "invalid": "bold yellow"}


def print_summary(result: Result, console: Console) -> None:
    """Prints a judged result; its names are shown as they are, never as markup."""
    console.print(summary(result))


def summary(result: Result) -> Group:
    """The summary of a judged result, the verdict in its last line."""
    parts: list[RenderableType] = [_heading(result), _facts(result), _latencies(result)]
    if len(result.groups) > 1:
        parts.append(_groups(result))
    if result.refusals:
        parts.append(_refusals(result))
    if result.overload is not None:
        parts += tables(result.overload)
    parts.append(_loads(result))
    if result.thresholds:
        parts.append(_thresholds(result))
    verdict = Text(plain(verdict_line(result)), _STYLES[result.verdict])
    return Group(*chain.from_iterable((part, "") for part in parts), verdict)


def distributions(result: Result) -> Iterator[tuple[str, Latency]]:
    """Every distribution that was measured, by the name that people see, ages first."""
    parts = {
        "age": result.latency,
        "age at the kernel": result.arrival,
        "client's own": result.own,
        **result.stages,
        "skew": result.skew,
        "source late": result.source.late if result.source else None,
    }
    for name, latency in parts.items():
        if latency is not None and latency.count:
            yield name, latency


def number(value: int | None, unknown: str = "-") -> str:
    """A count with its thousands."""
    return unknown if value is None else f"{value:,}"


def share(value: float | None, unknown: str = "-") -> str:
    """A share as a percentage."""
    return unknown if value is None else units.share(value)


def facts(result: Result) -> list[tuple[str, str]]:
    """What was delivered, in names and words."""
    connections, unknown = result.connections, "unknown"
    reach = share(result.reach, unknown)
    if result.expected is not None:
        reach += f" of {result.expected:,}"
    clients = f"{result.clients:,}"
    if connections.opened - connections.reconnects >= result.clients:
        clients += f", all open after {units.duration(connections.open_s * 1e6)}"
    limit = [("limit", result.limit.shown)] if result.limit else []
    if ladder := result.ladder:
        back = "not back at 0" if ladder.back_s is None else f"back at 0 after {ladder.back_s:g} s"
        limit.append(("ladder", f"at most {ladder.step_max} after the window, {back}"))
    if (encoding := result.scenario.get("encoding", "json")) != "json":
        limit.append(("encoding", f"{encoding}, data in binary frames"))
    return [
        *limit,
        ("clients", clients),
        (
            "connections",
            f"{connections.opened:,} opened, {connections.refused:,} refused,"
            f" {connections.closed:,} closed by the server, {connections.reconnects:,} again",
        ),
        ("delivered", f"{result.delivered:,}, {units.rate(result.latency.per_s)}"),
        ("reach", reach),
        (
            "losses",
            f"gaps {number(result.gaps, unknown)}, conflated {number(result.conflated, unknown)},"
            f" duplicates {number(result.duplicates, unknown)}",
        ),
    ]


def refusals(result: Result) -> list[tuple[str, str, str, str]]:
    """What the server refused, in words: kind, code, how often, message."""
    return [
        (
            each.kind,
            each.code or ("other codes" if each.message is None else "no code"),
            number(each.count),
            "other messages" if each.message is None else each.message,
        )
        for each in result.refusals
    ]


def loads(result: Result) -> list[tuple[str, str]]:
    """What source, server and clients had to do for it, in names and words."""
    rows = []
    if source := result.source:
        ticks = f"{source.sent:,} of {source.intended:,} ticks"
        rows.append(("source", f"{ticks}, {units.rate(source.achieved_per_s)}"))
    if server := result.server:
        each = server.cpu_us_per_delivery
        cost = "" if each is None else f", {units.duration(each)} a delivery"
        if each is not None and result.floor and result.floor.cpu_us_per_delivery:
            cost += f" ({each / result.floor.cpu_us_per_delivery:.2f} times the floor)"
        rows.append(("server", f"{server.cpu_s:.2f} s of CPU{cost}"))
        measure, end_mb, most_mb = server.memory
        memory = f"{units.memory(end_mb)} {measure}, at most {units.memory(most_mb)}"
        rows.append(("its memory", memory))
    client, clock = result.client, result.clock
    rows.append(
        (
            "own clients",
            f"busy {client.busy:.0%}, without a CPU {client.run_delay:.0%},"
            f" longest turn {units.duration(client.turn_max_us)}",
        )
    )
    if client.still_max_us:
        still = f"for {units.share(client.still)}, at most {units.duration(client.still_max_us)}"
        rows.append(("stood still", f"{still} at a time"))
    if clock.method == "none":
        rows.append(("clocks", "not related: ages are wrong by as much as the two differ"))
    elif clock.method == "ping":
        offset, error = (units.duration(ns / 1000) for ns in (clock.offset_ns, clock.error_ns))
        rows.append(("clocks", f"the server's is {offset} ahead, give or take {error}"))
    return rows


def _heading(result: Result) -> Text:
    window = f"{result.duration_s:g} s from {result.started}"
    return Text(plain(f"{result.name}: {result.url}, {window}"), "bold")


def _facts(result: Result) -> Table:
    return _pairs(facts(result))


def _loads(result: Result) -> Table:
    return _pairs(loads(result))


def _pairs(rows: list[tuple[str, str]]) -> Table:
    table = _table(("", "left"), ("", "left"), header=False)
    for name, words in rows:
        table.add_row(Text(name, "dim"), Text(words))
    return table


def _latencies(result: Result) -> Table:
    headings = ("p50", "p90", "p99", "p99.9", "max", "count")
    table = _table(("", "left"), *((name, "right") for name in headings))
    for name, latency in distributions(result):
        values = (
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        )
        words = units.durations(values, latency.p99_us)
        table.add_row(Text(plain(name)), *words, number(latency.count))
    return table


def _groups(result: Result) -> Table:
    classes = len({group.class_ for group in result.groups.values()}) > 1
    headings = ["class"] if classes else []
    headings += ["clients", "reach", "gaps", "conflated", "p50", "p99", "max"]
    table = _table(("group", "left"), *((name, "right") for name in headings))
    for name, group in result.groups.items():
        age = group.latency
        values = (age.p50_us, age.p99_us, age.max_us) if age is not None and age.count else ()
        table.add_row(
            Text(plain(name)),
            *([number(group.class_)] if classes else []),
            number(group.clients),
            share(group.reach),
            number(group.gaps),
            number(group.conflated),
            *(units.durations(values, values[1]) if values else ("-",) * 3),
        )
    return table


def _refusals(result: Result) -> Table:
    table = _table(("refused", "left"), ("code", "left"), ("count", "right"), ("message", "left"))
    for kind, code, count, message in refusals(result)[:REFUSALS_SHOWN]:
        table.add_row(Text(kind), Text(plain(code)), count, Text(plain(message)))
    if more := result.refusals[REFUSALS_SHOWN:]:
        table.add_row(Text("more"), Text(""), number(sum(each.count for each in more)), Text(""))
    return table


def _thresholds(result: Result) -> Table:
    table = _table(("", "left"), ("", "left"), ("", "left"), header=False)
    for each in result.thresholds:
        mark = Text("✓", "green") if each.ok else Text("✗", "red")
        table.add_row(mark, Text(plain(each.expression)), Text(each.shown))
    return table


def _table(*columns: tuple[str, str], header: bool = True) -> Table:
    table = Table(box=None, show_header=header, pad_edge=False, header_style="dim")
    for name, side in columns:
        if side == "right":
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table
