"""Thresholds: what may be asked, with every mistake told, and what holds."""

from typing import Any

import msgspec
import pytest
from support.results import sample_result, stepped

from gateway.loadtest.overload_result import LadderResult
from gateway.loadtest.result import (
    Connections,
    Floor,
    GroupResult,
    Result,
    ServerResult,
    SourceResult,
)
from gateway.loadtest.thresholds import (
    FIGURES,
    ThresholdError,
    evaluate,
    needs_floor,
    parse,
)

STATISTICS = ("p50", "p90", "p99", "p999", "max")
GROUPS = ["readers", "eu.west"]
SAMPLE = sample_result()


def sample(**changed: Any) -> Result:
    return msgspec.structs.replace(SAMPLE, **changed)


def measured() -> Result:
    """Every figure that there is, each with a value of its own."""
    return sample(
        latency=msgspec.structs.replace(stepped(1000), per_s=20_000.5),
        arrival=stepped(900),
        own=stepped(100),
        skew=stepped(200),
        source=SourceResult(intended=10, sent=10, late=stepped(20), achieved_per_s=199.5),
        stages={
            "wire": stepped(300),
            "server": stepped(400),
            "delivery": stepped(500),
            "handshake": stepped(600),
        },
        groups={
            "readers": GroupResult(
                clients=10,
                open=10,
                delivered=77,
                per_s=12.5,
                reach=0.75,
                gaps=71,
                conflated=72,
                duplicates=73,
                reconnects=74,
                closed=75,
                dropped=76,
                slow_notices=78,
                slow_clients=79,
                conflation_notices=80,
                latency=stepped(2000),
                arrival=stepped(1900),
            ),
            "eu.west": GroupResult(clients=10, open=10, delivered=88, measured=False),
        },
        reach=0.999,
        gaps=1,
        gap_events=2,
        conflated=3,
        duplicates=4,
        dropped=9,
        slow_notices=10,
        slow_clients=11,
        conflation_notices=12,
        delivered=5,
        connections=Connections(opened=126, reconnects=6, closed=7, refused=8),
        server=ServerResult(
            cpu_s=1, cpu_us_per_delivery=8.8, rss_mb=60, rss_mb_max=64.5, pss_mb=50, pss_mb_max=54.5
        ),
        floor=Floor(cpu_us_per_delivery=8.0),
        ladder=LadderResult(step_max=3, back_s=2.5),
    )


FIRST_US = {  # Of each distribution's figures; the others follow in steps of 1 µs.
    **{"": 1000, "arrival": 900, "own": 100, "skew": 200, "late": 20},
    **{"wire": 300, "server": 400, "delivery": 500, "handshake": 600},
}
VALUES = {
    **{
        f"{series}_{name}".lstrip("_"): float(first_us + n)
        for series, first_us in FIRST_US.items()
        for n, name in enumerate(STATISTICS)
    },
    **{"reach": 0.999, "gaps": 1, "gap_events": 2, "conflated": 3, "duplicates": 4},
    **{"delivered": 5, "reconnects": 6, "closed": 7, "refused": 8, "dropped": 9},
    **{"slow_notices": 10, "slow_clients": 11, "conflation_notices": 12, "ladder_back": 2.5e6},
    **{"per_s": 20_000.5, "achieved_per_s": 199.5, "cpu_per_delivery": 8.8, "rss_max": 64.5},
    "pss_max": 54.5,
}
VALUES_OF_READERS = {
    **{name: 2000.0 + n for n, name in enumerate(STATISTICS)},
    **{f"arrival_{name}": 1900.0 + n for n, name in enumerate(STATISTICS)},
    **{"reach": 0.75, "gaps": 71, "conflated": 72, "duplicates": 73, "reconnects": 74},
    **{"closed": 75, "dropped": 76, "delivered": 77, "slow_notices": 78, "slow_clients": 79},
    **{"conflation_notices": 80, "per_s": 12.5},
}


# --- the grammar ----------------------------------------------------------------------------------


def unit_of(figure: str) -> str:
    """A unit that the figure may have, of the size that it has in the result."""
    durations = ("cpu_per_delivery", "ladder_back")
    if figure in ("pss_max", "rss_max"):
        return "MB"
    return "us" if figure.endswith(STATISTICS) or figure in durations else ""


def test_the_names_are_these() -> None:
    assert set(FIGURES) == set(VALUES)
    protocol = ["p50", "p90", "p99", "p999", "max", "reach", "gaps", "conflated", "per_s"]
    assert {*protocol, "cpu_per_delivery"} <= set(FIGURES)


@pytest.mark.parametrize("figure", FIGURES)
def test_each_name_is_its_own_figure(figure: str) -> None:
    one = parse(f"{figure}=={VALUES[figure]!r}{unit_of(figure)}")
    assert (one.group, one.figure, one.operator, one.times_floor) == ("", figure, "==", False)
    found = evaluate(one, measured())
    assert (found.value, found.ok) == (VALUES[figure], True)


@pytest.mark.parametrize("figure", FIGURES)
def test_each_name_of_a_group(figure: str) -> None:
    expression = f"readers.{figure}=={VALUES_OF_READERS.get(figure, 0)!r}{unit_of(figure)}"
    if figure not in VALUES_OF_READERS:
        with pytest.raises(ThresholdError, match=rf"column 9: {figure} is no group's; these are: "):
            parse(expression, GROUPS)
        return
    one = parse(expression, GROUPS)
    assert (one.group, one.figure) == ("readers", figure)
    found = evaluate(one, measured())
    assert (found.value, found.ok) == (VALUES_OF_READERS[figure], True)


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        ("==", False, True, False),
        ("!=", True, False, True),
        (">=", False, True, True),
        (">", False, False, True),
    ],
)
def test_operators(operator: str, below: bool, equal: bool, above: bool) -> None:
    one = parse(f"gaps{operator}10")
    held = [evaluate(one, sample(gaps=gaps)).ok for gaps in (9, 10, 11)]
    assert held == [below, equal, above]


@pytest.mark.parametrize(
    ("expression", "limit"),
    [
        ("p99<1500ns", 1.5),
        ("p99<250us", 250.0),
        ("p99<250µs", 250.0),
        ("p99<1.5ms", 1500.0),
        ("p99<2s", 2e6),
        ("p99<1e3ms", 1e6),
        ("  p99  <=  1 ms  ", 1000.0),
        ("cpu_per_delivery<900ns", 0.9),
        ("reach>=0.999", 0.999),
        ("reach>=99.9%", 0.999),
        ("reach>=99.9 %", 0.999),
        ("reach>=99.99%", 0.9999),
        ("reach==1", 1.0),
        ("reach==100%", 1.0),
        ("reach>=0", 0.0),
        ("gaps==0", 0.0),
        ("conflated<1e6", 1e6),
        ("per_s>=+20000", 20_000.0),
        ("achieved_per_s>199.5", 199.5),
        ("rss_max<64.5MB", 64.5),
        ("rss_max<1GB", 1000.0),
    ],
)
def test_units(expression: str, limit: float) -> None:
    one = parse(expression)
    assert one.limit == limit
    assert one.expression == expression.strip()


@pytest.mark.parametrize(
    ("expression", "multiple"),
    [
        ("cpu_per_delivery<1.1*floor", 1.1),
        ("cpu_per_delivery < 2 * floor", 2.0),
        ("cpu_per_delivery<=floor", 1.0),
    ],
)
def test_a_multiple_of_the_floor(expression: str, multiple: float) -> None:
    one = parse(expression)
    assert (one.limit, one.times_floor) == (multiple, True)
    assert needs_floor([parse("p99<1ms"), one])


def test_without_a_multiple_no_floor_is_needed() -> None:
    assert not needs_floor([parse("p99<1ms"), parse("cpu_per_delivery<9us")])
    assert not needs_floor([])


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_a_group_may_have_dots_in_its_name(groups: list[str] | None) -> None:
    one = parse(" eu.west.p99 < 1ms", groups)
    assert (one.group, one.figure, one.limit) == ("eu.west", "p99", 1000.0)


@pytest.mark.parametrize(
    ("expression", "column", "text"),
    [
        # The operator.
        ("", 1, "an operator is missing; there are < <= == != >= >"),
        ("p99", 4, "an operator is missing; there are < <= == != >= >"),
        ("p99=1ms", 4, "'=' is no operator; there are < <= == != >= >"),
        ("p99 =< 1ms", 5, "'=<' is no operator"),
        ("p99<<1ms", 4, "'<<' is no operator"),
        # The name.
        ("<1ms", 1, "a figure is missing; there are p50 p90 p99 p999 max (also behind arrival_"),
        ("p98<1ms", 1, "no figure 'p98'; there are p50 p90 p99 p999 max (also behind arrival_"),
        ("  P99<1ms", 3, "no figure 'P99'; there are p50"),
        ("arrival<1ms", 1, "no figure 'arrival'; there are p50"),
        ("arrival_gaps<1", 1, "no figure 'arrival_gaps'; there are p50"),
        ("1ms>p99", 1, "no figure '1ms'; there are p50"),
        # The group.
        ("nobody.p99<1ms", 1, "no group 'nobody'; there are readers eu.west"),
        ("  nobody.p99<1ms", 3, "no group 'nobody'; there are readers eu.west"),
        ("west.p99<1ms", 1, "no group 'west'; there are readers eu.west"),
        (".p99<1ms", 1, "a group's name is missing"),
        ("readers.<1ms", 9, "a figure is missing; there are p50"),
        ("readers.p98<1ms", 9, "no figure 'p98'; there are p50"),
        ("readers.rss_max<1GB", 9, "rss_max is no group's; these are: p50 p90 p99 p999 max arriv"),
        # The limit: a latency without a unit, above all.
        ("p99<1", 6, "a unit is missing; p99 has ns us ms s"),
        ("cpu_per_delivery<9", 19, "a unit is missing; cpu_per_delivery has ns us ms s"),
        ("rss_max<64", 11, "a unit is missing; rss_max has MB GB"),
        ("p99 < 1 min", 9, "no unit 'min'; p99 has ns us ms s"),
        ("p99<1MB", 6, "no unit 'MB'; p99 has ns us ms s"),
        ("reach>=99.9‰", 12, "no unit '‰'; reach has %"),
        ("gaps==0s", 8, "gaps is a number, without a unit"),
        ("per_s>20k", 9, "per_s is a number, without a unit"),
        ("gaps<1,000", 7, "gaps is a number, without a unit"),
        ("p99<", 5, "p99 wants a number with a unit (ns us ms s)"),
        ("p99<fast", 5, "p99 wants a number with a unit (ns us ms s)"),
        ("p99<1ms p50<1ms", 5, "p99 wants a number with a unit (ns us ms s)"),
        ("rss_max<nan MB", 9, "rss_max wants a number with a unit (MB GB)"),
        ("gaps== none", 8, "gaps wants a number"),
        ("reach>=all", 8, "reach wants a number"),
        ("reach>=99.9", 8, "reach is from 0 to 1, or from 0% to 100%"),
        ("reach>=101%", 8, "reach is from 0 to 1, or from 0% to 100%"),
        ("reach>=-1%", 8, "reach is from 0 to 1, or from 0% to 100%"),
        ("p99>-1ms", 5, "p99 is a finite number from 0 on"),
        ("gaps>= -1", 8, "gaps is a finite number from 0 on"),
        ("per_s<1e999", 7, "per_s is a finite number from 0 on"),
        # The floor.
        ("p99<1.1*floor", 5, "only cpu_per_delivery has a floor"),
        ("cpu_per_delivery<floor*2", 18, "or a multiple of the floor (1.1*floor)"),
        ("cpu_per_delivery<-1*floor", 20, "no unit '*floor'; cpu_per_delivery has ns"),
    ],
)
def test_mistakes(expression: str, column: int, text: str) -> None:
    with pytest.raises(ThresholdError) as caught:
        parse(expression, GROUPS)
    told = str(caught.value)
    assert told.startswith(f"threshold {expression!r}, column {column}: ")
    assert text in told
    assert caught.value.exit_code == 2


# --- one threshold --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("p999<1ms", "1.00 ms"),
        ("server_p50<1ms", "0.400 ms"),
        ("reach>=99.9%", "99.9 %"),
        ("gaps==0", "1"),
        ("per_s>20000", "20.0 k/s"),
        ("rss_max<64MB", "64.5 MB"),
        ("cpu_per_delivery<9us", "8.80 µs"),
        ("cpu_per_delivery<1.1*floor", "8.80 µs, 1.10 times the floor"),
    ],
)
def test_values_are_shown_with_their_units(expression: str, shown: str) -> None:
    found = evaluate(parse(expression), measured())
    assert (found.expression, found.shown) == (expression, shown)


@pytest.mark.parametrize(
    ("expression", "ok"),
    [
        ("cpu_per_delivery<1.2*floor", True),
        ("cpu_per_delivery<1.05*floor", False),
        ("cpu_per_delivery>floor", True),
    ],
)
def test_the_floor_is_multiplied(expression: str, ok: bool) -> None:
    assert evaluate(parse(expression), measured()).ok is ok


UNMEASURED: dict[str, Any] = {
    "latency": stepped(0, count=0),
    "arrival": stepped(0, count=0),
    "groups": {},
    "stages": {},
    "server": ServerResult(cpu_s=0, cpu_us_per_delivery=None, rss_mb=0, rss_mb_max=0),
    **dict.fromkeys(("own", "skew", "source", "reach", "gaps", "gap_events", "conflated")),
    "duplicates": None,
}
COUNTED = {"delivered", "reconnects", "closed", "refused", "per_s", "rss_max"}  # always known


@pytest.mark.parametrize("operator", ["<", "<=", "==", "!=", ">=", ">"])
@pytest.mark.parametrize("figure", sorted(set(FIGURES) - COUNTED))
def test_what_was_not_measured_holds_nothing(figure: str, operator: str) -> None:
    one = parse(f"{figure}{operator}0{unit_of(figure)}")
    found = evaluate(one, sample(**UNMEASURED))
    assert (found.value, found.ok, found.shown) == (None, False, "not measured")


@pytest.mark.parametrize(
    "expression",
    [
        *(f"eu.west.{figure}>=0" for figure in ("reach", "gaps", "conflated", "duplicates")),
        *(f"eu.west.{figure}>=0s" for figure in ("p99", "arrival_p99")),
        "elsewhere.delivered>=0",  # Of another scenario's group.
    ],
)
def test_what_was_not_measured_of_a_group_holds_nothing(expression: str) -> None:
    found = evaluate(parse(expression), measured())
    assert (found.value, found.ok, found.shown) == (None, False, "not measured")


@pytest.mark.parametrize("expression", ["cpu_per_delivery>=0us", "rss_max>=0MB"])
def test_a_server_elsewhere_holds_nothing(expression: str) -> None:
    assert evaluate(parse(expression), sample(server=None)).value is None
    assert not evaluate(parse(expression), sample(server=None)).ok


@pytest.mark.parametrize("floor", [None, Floor(cpu_us_per_delivery=0.0)])
@pytest.mark.parametrize("operator", ["<", ">", "!="])
def test_a_floor_that_was_not_measured_holds_nothing(operator: str, floor: Floor | None) -> None:
    found = evaluate(parse(f"cpu_per_delivery{operator}2*floor"), sample(floor=floor))
    assert (found.value, found.ok, found.shown) == (8.5, False, "the floor was not measured")
