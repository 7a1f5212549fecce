"""The groups of a run as a table by class, and the runs of an overload as such tables in turn.

For a terminal of 80 columns, and as Markdown for a README.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from gateway.loadtest import units
from gateway.loadtest.markdown import table
from gateway.loadtest.overload import row_of
from gateway.loadtest.overload_result import OverloadResult, OverloadRow, OverloadRun
from gateway.loadtest.result import Result
from gateway.text import plain

HEADINGS = (
    *("group", "class", "p50", "p99", "p99.9", "reach"),
    *("conflated", "dropped", "budget", "closed"),
)


def tables(overload: OverloadResult) -> Iterator[Text | Table]:
    """What each run brought: a heading and a table, in turn; closed clients are in the heading."""
    yield Text(subject(overload))
    for run in overload.runs:
        yield Text(heading(run), "dim")
        shown = Table(box=None, pad_edge=False, header_style="dim")
        for number, name in enumerate(HEADINGS[:-1]):
            shown.add_column(name, justify="right" if number else "left", no_wrap=bool(number))
        for row in run.rows:
            shown.add_row(*map(Text, cells(row)[:-1]))
        yield shown


def markdown(result: Result) -> str:
    """The groups of a run, or of each run of an overload."""
    overload = result.overload
    if overload is None:
        return _table([row_of(name, group) for name, group in result.groups.items()])
    parts = [subject(overload)]
    for run in overload.runs:
        parts += [heading(run), _table(run.rows).rstrip("\n")]
    return "\n\n".join(parts) + "\n"


def subject(overload: OverloadResult) -> str:
    """What all of it is about, in words."""
    return (
        f"Capacity {units.rate(overload.capacity_per_s)} deliveries"
        f" ({units.rate(overload.capacity)} ticks); target {units.duration(overload.target_us)},"
        f" {overload.target_factor:g} x the p99 of {overload.target_group} in the run `quiet`."
    )


def heading(run: OverloadRun) -> str:
    """One run in words."""
    parts = [f"{run.load:.2f} of capacity", f"{units.rate(run.per_s)} delivered"]
    if run.step_max is not None:
        back = "not back" if run.back_s is None else f"back after {run.back_s:g} s"
        parts.append(f"ladder at {run.step_max}, {back}" if run.step_max else "ladder at 0")
    if run.server_cpu is not None:
        parts.append(f"server {run.server_cpu:.2f} CPUs")
    parts.append(f"clients {run.client_busy:.0%} busy")
    if closed := sum(row.closed for row in run.rows):
        parts.append(f"{closed:,} connections closed by the server")
    return f"{run.name}{'' if run.valid else ' (invalid)'}: {', '.join(parts)}"


def cells(row: OverloadRow) -> tuple[str, ...]:
    """One group under `HEADINGS`."""
    ages = (row.p50_us, row.p99_us, row.p999_us)
    counts = (row.conflated, row.dropped)
    return (
        plain(row.group),
        "-" if row.class_number is None else str(row.class_number),
        *("-" if age is None else units.duration(age) for age in ages),
        "-" if row.reach is None else units.share(row.reach),
        *("-" if count is None else f"{count:,}" for count in counts),
        "-" if row.budget is None else f"{row.budget:.0%}",
        f"{row.closed:,}",
    )


def _table(rows: Sequence[OverloadRow]) -> str:
    return table(HEADINGS, map(cells, rows))
