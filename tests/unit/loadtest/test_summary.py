"""The closing table as plain text of 80 columns."""

import io
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from rich.console import Console
from support.results import sample_groups, sample_latency, sample_result

from gateway.loadtest import units
from gateway.loadtest.result import (
    ClientLoad,
    Clock,
    GroupResult,
    LimitResult,
    Refusal,
    Result,
)
from gateway.loadtest.summary import REFUSALS_SHOWN, print_summary
from gateway.loadtest.thresholds import judge, parse

BUSY = ClientLoad(processes=1, busy=0.99, run_delay=0.0, turn_max_us=900.0)


def printed(result: Result, *, terminal: bool = False) -> str:
    out = io.StringIO()
    if terminal:
        console = Console(file=out, width=80, force_terminal=True, color_system="standard")
    else:
        console = Console(file=out, width=80, _environ={})  # whatever the tests' own terminal is
    print_summary(result, console)
    return out.getvalue()


def judged(*expressions: str, **changed: Any) -> Result:
    return judge(sample_result(**changed), [parse(each) for each in expressions])


def cells(text: str, name: str) -> list[str]:
    """The row that begins with a name, a value and its unit as one."""
    row = next(line for line in text.splitlines() if line.startswith(f"{name} ")) + " "
    for unit in ("ns", "µs", "ms", "s", "%"):
        row = row.replace(f" {unit} ", f"_{unit} ")
    return row.removeprefix(name).split()


def shown(values_us: Iterable[float], p99_us: float) -> list[str]:
    """A row's figures, which have one unit."""
    return [words.replace(" ", "_") for words in units.durations(values_us, p99_us)]


# --- the verdict ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (judged(), "PASS: no thresholds were given"),
        (judged("p99<1s", "gaps==0"), "PASS: 2 of 2 thresholds hold"),
        (judged("gaps==0", "conflated==0"), "FAIL: conflated==0: 40"),
        (judged("p50<1s", client=BUSY), "INVALID: the client was the bottleneck: its busiest"),
        (judged(delivered=0), "FAIL: nothing was delivered in the window"),
    ],
)
def test_the_verdict_is_the_last_thing_said(result: Result, line: str) -> None:
    *_, last = printed(result).strip().split("\n\n")
    assert last.startswith(line)


def test_every_threshold_has_its_mark_and_its_value() -> None:
    text = printed(judged("p99<1s", "reach>=99.99%", "bbo.gaps==0"))
    rows = [line.split() for line in text.splitlines() if line.startswith(("✓", "✗"))]
    p99 = units.duration(sample_result().latency.p99_us).split()
    assert rows == [
        ["✓", "p99<1s", *p99],
        ["✗", "reach>=99.99%", "99.967", "%"],
        ["✓", "bbo.gaps==0", "0"],
    ]


# --- the figures ----------------------------------------------------------------------------------


def test_every_distribution_has_its_figures() -> None:
    result = sample_result()
    assert result.arrival is not None
    assert result.own is not None
    assert result.skew is not None
    assert result.source is not None
    text = printed(result)
    expected = {
        "age": result.latency,
        "age at the kernel": result.arrival,
        "client's own": result.own,
        **result.stages,
        "skew": result.skew,
        "source late": result.source.late,
    }
    for name, each in expected.items():
        values = (each.p50_us, each.p90_us, each.p99_us, each.p999_us, each.max_us)
        # The stage called server has a line of the same name among the loads, further down.
        assert cells(text, name) == [*shown(values, each.p99_us), f"{each.count:,}"]


def test_every_group_has_its_figures() -> None:
    text = printed(sample_result())
    bbo = sample_groups()["bbo"].latency
    assert bbo is not None
    ages = shown((bbo.p50_us, bbo.p99_us, bbo.max_us), bbo.p99_us)
    assert cells(text, "bbo") == ["40", "99.91_%", "0", "40", *ages]
    assert cells(text, "churn") == ["20", "-", "-", "0", "-", "-", "-"]


@pytest.mark.parametrize(
    "words",
    [
        "sample: ws://127.0.0.1:8765/v1, 6 s from 2026-11-21T10:00:00Z",
        "120, all open after 210 ms",
        "195 opened, 0 refused, 0 closed by the server, 75 again",
        "120,000, 20.0 k/s",
        "99.967 % of 120,040",
        "gaps 0, conflated 40, duplicates 0",
        "1,200 of 1,200 ticks, 200 /s",
        "1.02 s of CPU, 8.50 µs a delivery (1.06 times the floor)",
        "51.0 MB PSS, at most 54.5 MB",
        "busy 41%, without a CPU 2%, longest turn 900 µs",
    ],
)
def test_every_fact_is_told(words: str) -> None:
    assert words in printed(sample_result())


def test_the_encoding_is_told_where_it_is_binary() -> None:
    assert "sbe, data in binary frames" in printed(sample_result(scenario={"encoding": "sbe"}))
    assert "encoding" not in printed(sample_result(scenario={"encoding": "json"}))


def test_memory_is_resident_memory_where_the_kernel_tells_no_pss() -> None:
    server = sample_result().server
    assert server is not None
    blind = msgspec.structs.replace(server, pss_mb=None, pss_mb_max=None)
    assert "61.0 MB RSS, at most 64.5 MB" in printed(sample_result(server=blind))


def test_what_was_not_measured_is_unknown_and_not_none() -> None:
    bare = sample_result(
        reach=None, expected=None, gaps=None, conflated=None, duplicates=None, source=None
    )
    text = printed(msgspec.structs.replace(bare, server=None, floor=None, arrival=None, own=None))
    assert "gaps unknown, conflated unknown, duplicates unknown" in text
    assert cells(text, "reach") == ["unknown"]
    names = [line.partition("  ")[0].strip() for line in text.splitlines()]
    assert not {"source", "its memory", "age at the kernel", "client's own"} & set(names)
    assert "None" not in text
    assert "nan" not in text


def test_what_is_odd_is_told() -> None:
    still = msgspec.structs.replace(BUSY, still=0.125, still_max_us=250_000.0)
    text = printed(sample_result(client=still, clock=Clock(method="none")))
    assert "for 12.5 %, at most 250 ms at a time" in text
    assert "not related: ages are wrong by as much as the two differ" in text
    ping = printed(sample_result(clock=Clock(method="ping", offset_ns=-1500, error_ns=20_000)))
    assert "the server's is -1.50 µs ahead, give or take 20.0 µs" in ping
    limit = LimitResult(passed=9.0, failed=None, invalid=None, trials=[], shown="9.00 /s at most")
    assert cells(printed(sample_result(limit=limit)), "limit") == ["9.00", "/s", "at", "most"]


# --- 80 columns -----------------------------------------------------------------------------------


def large() -> Result:
    """Figures as long as they get."""
    group = GroupResult(
        clients=1_000_000,
        open=1_000_000,
        delivered=10**12,
        reach=0.99999,
        gaps=123_456_789,
        conflated=1_234_567_890,
        latency=sample_latency(123_000),
    )
    run = judged("p99<1s", *(f"conflated<{10**k}" for k in range(9)))
    return msgspec.structs.replace(
        run,
        groups={"a-group-with-quite-a-long-name": group, "other": group},
        latency=msgspec.structs.replace(run.latency, count=123_456_789_012),
        clients=1_000_000,
        delivered=10**12,
    )


@pytest.mark.parametrize("result", [sample_result(), large()])
def test_no_line_is_longer_and_nothing_is_cut(result: Result) -> None:
    text = printed(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "\x1b" not in text


def test_long_figures_are_all_there() -> None:
    text = printed(large())
    assert "123,456,789,012" in text
    for words in ("1,000,000", "99.999 %", "123,456,789", "1,234,567,890"):
        assert text.count(words) >= 2
    assert cells(text, "other")[:4] == ["1,000,000", "99.999_%", "123,456,789", "1,234,567,890"]


def test_colours_are_for_terminals() -> None:
    text = printed(judged("p99<1s"), terminal=True)
    assert "\x1b[1;32mPASS" in text


def test_names_are_neither_markup_nor_obeyed() -> None:
    name = "[b]x[/b]\x1b[2J\r\n"
    groups = {f"{name}{key}": group for key, group in sample_groups().items()}
    run = judged("p99<1us", name=name, url=name, groups=groups, stages={name: sample_latency(9)})
    odd = [msgspec.structs.replace(each, expression=name) for each in run.thresholds]
    text = printed(msgspec.structs.replace(run, thresholds=odd))
    assert "\x1b" not in text
    assert "\r" not in text
    # The heading's two, a stage, three groups, a threshold, and the verdict.
    assert text.count("[b]x[/b]?[2J??") == 8


def test_classes_are_told_where_groups_differ_in_them() -> None:
    groups = {
        name: msgspec.structs.replace(group, class_=int(name == "bbo"))
        for name, group in sample_groups().items()
    }
    text = printed(sample_result(groups=groups))
    assert cells(text, "bbo")[:3] == ["1", "40", "99.91_%"]
    assert cells(printed(sample_result()), "bbo")[:2] == ["40", "99.91_%"]


def test_what_was_refused_is_named() -> None:
    refusals = [
        Refusal(kind="handshake", code="HTTP 503", message="full\x1b[2J", count=1400),
        Refusal(kind="reply", code="capacity", message=None, count=7),
        Refusal(kind="reply", code="", message=None, count=3),
        Refusal(kind="reply", code="", message="", count=2),
    ]
    text = printed(judged(refusals=refusals))
    rows = [line.split() for line in text.splitlines() if line.startswith(("handshake ", "reply "))]
    assert rows[-4:] == [
        ["handshake", "HTTP", "503", "1,400", "full?[2J"],
        ["reply", "capacity", "7", "other", "messages"],
        ["reply", "other", "codes", "3", "other", "messages"],
        ["reply", "no", "code", "2"],
    ]
    assert "refused" not in printed(judged()).partition("connections")[2].split("\n", 1)[1]


def test_a_terminal_shows_the_most_frequent_and_counts_the_others() -> None:
    refusals = [
        Refusal(kind="close", code=str(1000 + n), message="", count=100 - n) for n in range(40)
    ]
    text = printed(judged(refusals=refusals))
    shown = [line for line in text.splitlines() if line.startswith("close ")]
    assert len(shown) == REFUSALS_SHOWN
    more = sum(one.count for one in refusals[REFUSALS_SHOWN:])
    assert next(line.split() for line in text.splitlines() if line.startswith("more ")) == [
        "more",
        f"{more:,}",
    ]
