"""Verdicts of load tests: whether the run says anything of the server, and what it says."""

from typing import Any

import msgspec
import pytest
from support.results import sample_result, stepped

from gateway.loadtest.result import (
    ClientLoad,
    Clock,
    Connections,
    GroupResult,
    Result,
    SourceResult,
)
from gateway.loadtest.thresholds import (
    Threshold,
    ThresholdError,
    exit_code,
    judge,
    parse,
    verdict_line,
)

SAMPLE = sample_result()


def client(**changed: float) -> ClientLoad:
    calm = ClientLoad(processes=1, busy=0.4, run_delay=0.02, turn_max_us=900.0)
    return msgspec.structs.replace(calm, **changed)


def source(late_us: float, clock_steps: int = 0) -> SourceResult:
    late = stepped(late_us)
    return SourceResult(
        intended=1200, sent=1200, late=late, achieved_per_s=200.0, clock_steps=clock_steps
    )


def plain(**changed: Any) -> Result:
    """A run of which p99 is 1,002 µs, 902 µs at the client's kernel, the source 22 µs late."""
    usual: dict[str, Any] = {
        "latency": stepped(1000),
        "arrival": stepped(900),
        "client": client(),
        "source": source(20),
        "groups": {
            "readers": GroupResult(
                clients=10, open=10, delivered=9, latency=stepped(2000), arrival=stepped(1400)
            )
        },
    }
    return msgspec.structs.replace(SAMPLE, **usual | changed)


def ping(error_us: float) -> Clock:
    return Clock(offset_ns=5_000_000, error_ns=round(error_us * 1000), method="ping")


KERNEL = "at its kernel"
STILL = "the client stood still for"
LATE = "the tick source was the bottleneck"
UNRELATED = "the server's clock is not related to ours"
CLOSE = "the clocks are related to"


@pytest.mark.parametrize(
    ("changed", "expression", "reason"),
    [
        # The client was busy, whether thresholds hold or not, and whether there are any.
        ({"client": client(busy=0.97)}, "", "its busiest thread was 97% busy (limit 97%)"),
        ({"client": client(busy=1.0)}, "p99<2ms", "its busiest thread was 100% busy (limit 97%)"),
        ({"client": client(busy=0.969)}, "", ""),
        # It was ready, and had no CPU.
        ({"client": client(run_delay=0.2)}, "", "waited for a CPU during 20% of the window (limit"),
        ({"client": client(run_delay=0.199)}, "", ""),
        # The age fails, and at the client's kernel it holds: the client's own part decided.
        ({}, "p99<950us", KERNEL),
        ({}, "readers.p99<1.5ms", KERNEL),
        ({}, "p99<1.1ms", ""),  # Both hold.
        ({}, "p99<800us", ""),  # Both fail: the server's.
        ({}, "arrival_p99<800us", ""),
        ({}, "p99>1.1ms", ""),  # Without the client it is still further off.
        ({"arrival": None}, "p99<950us", ""),
        ({"arrival": stepped(0, count=0)}, "p99<950us", ""),
        # The source was late: that decides where the threshold would hold without it.
        ({"arrival": None, "source": source(60)}, "p99<950us", LATE),
        ({"arrival": None, "source": source(60)}, "p99<900us", ""),  # Late, but not that much.
        ({"arrival": None, "source": source(60)}, "p99<1.1ms", ""),  # Late, and it holds anyway.
        ({"arrival": None, "source": source(60)}, "", ""),
        ({"arrival": None, "source": None}, "p99<950us", ""),
        # A clock that is set in the run makes every age wrong.
        ({"source": source(0, clock_steps=1)}, "", "the wall clock was set"),
        # The client stood still for long enough of the window, and without that it would hold.
        ({"arrival": None, "client": client(still=0.01, still_max_us=80.0)}, "p99<950us", STILL),
        ({"arrival": None, "client": client(still=0.009, still_max_us=80.0)}, "p99<950us", ""),
        ({"arrival": None, "client": client(still=0.009, still_max_us=80.0)}, "p999<950us", STILL),
        ({"arrival": None, "client": client(still=0.01, still_max_us=40.0)}, "p99<950us", ""),
        ({"client": client(still=0.5, still_max_us=80.0)}, "p99<1.1ms", ""),
        # Clocks that are not related: nothing from one to the other can be told, good or bad.
        ({"clock": Clock(method="none")}, "p99<2ms", UNRELATED),
        ({"clock": Clock(method="none")}, "p99<1us", UNRELATED),
        ({"clock": Clock(method="none")}, "readers.max<9ms", UNRELATED),
        ({"clock": Clock(method="none")}, "arrival_p99<2ms", UNRELATED),
        ({"clock": Clock(method="none")}, "delivery_p99<9s", UNRELATED),
        ({"clock": Clock(method="none")}, "server_p99<9s", ""),
        ({"clock": Clock(method="none")}, "own_p99<9s", ""),
        ({"clock": Clock(method="none")}, "reach>=0", ""),
        # Clocks that are related to some error: what is closer than that can't be told.
        ({"clock": ping(50)}, "p99<1.05ms", CLOSE),
        ({"clock": ping(50)}, "p99<960us", CLOSE),
        ({"clock": ping(50)}, "arrival_p99<940us", CLOSE),
        ({"clock": ping(50)}, "p99<1.06ms", ""),
        ({"clock": ping(50)}, "p99<800us", ""),
        ({"clock": ping(50)}, "p99<950us", KERNEL),
    ],
)
def test_validity(changed: dict[str, Any], expression: str, reason: str) -> None:
    judged = judge(plain(**changed), [parse(expression)] if expression else [])
    assert len(judged.invalid_because) == bool(reason), judged.invalid_because
    assert reason in "".join(judged.invalid_because)
    assert judged.valid is not bool(reason)
    if reason:
        assert (judged.verdict, exit_code(judged)) == ("invalid", 3)


def test_reasons_bear_the_expression_and_the_figures() -> None:
    kernel = judge(plain(), [parse("p99<950us")])
    assert kernel.invalid_because == [
        "the client was the bottleneck: p99<950us fails with 1.00 ms at the client and holds with"
        " 902 µs at its kernel"
    ]
    late = judge(plain(arrival=None, source=source(60)), [parse("p99<950us")])
    assert late.invalid_because == [
        "the tick source was the bottleneck: p99<950us fails with 1.00 ms and holds without the"
        " source's lateness, 62.0 µs"
    ]


def test_all_reasons_are_told() -> None:
    run = plain(client=client(busy=1.0, run_delay=0.5))
    judged = judge(run, [parse("p99<950us"), parse("p50<950us"), parse("gaps==0")])
    assert len(judged.invalid_because) == 4
    assert verdict_line(judged) == f"INVALID: {'; '.join(judged.invalid_because)}"


# --- the verdict ----------------------------------------------------------------------------------


def thresholds(*expressions: str) -> list[Threshold]:
    return [parse(expression) for expression in expressions]


def test_pass() -> None:
    judged = judge(plain(), thresholds("p99<2ms", "reach>=99.9%"))
    assert [one.ok for one in judged.thresholds] == [True, True]
    assert (judged.valid, judged.verdict, exit_code(judged)) == (True, "pass", 0)
    assert verdict_line(judged) == "PASS: 2 of 2 thresholds hold"


def test_without_thresholds_a_run_passes() -> None:
    judged = judge(plain(), [])
    assert (judged.verdict, exit_code(judged)) == ("pass", 0)
    assert verdict_line(judged) == "PASS: no thresholds were given"


def test_fail_names_what_failed_and_by_how_much() -> None:
    judged = judge(plain(gaps=3), thresholds("p99<2ms", "gaps==0", "p99<500us", "own_p50<1s"))
    assert [one.expression for one in judged.thresholds if not one.ok] == ["gaps==0", "p99<500us"]
    assert (judged.valid, judged.verdict, exit_code(judged)) == (True, "fail", 99)
    assert verdict_line(judged) == "FAIL: gaps==0: 3; p99<500us: 1,002 µs"


def test_what_was_not_measured_fails_the_run() -> None:
    judged = judge(plain(skew=None), thresholds("skew_p99<1s"))
    assert (judged.verdict, exit_code(judged)) == ("fail", 99)
    assert verdict_line(judged) == "FAIL: skew_p99<1s: not measured"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"connections": Connections(opened=119)}, "only 119 of 120 clients connected"),
        # Twenty that never came in are not made up for by others that came again.
        (
            {"connections": Connections(opened=175, reconnects=75)},
            "only 100 of 120 clients connected",
        ),
        ({"delivered": 0}, "nothing was delivered in the window"),
        ({"delivered": 0, "expected": None}, "nothing was delivered in the window"),
    ],
)
def test_nothing_to_judge(changed: dict[str, Any], reason: str) -> None:
    judged = judge(plain(**changed), [])
    assert judged.failed_because == [reason]
    assert (judged.verdict, exit_code(judged)) == ("fail", 1)
    assert verdict_line(judged) == f"FAIL: {reason}"


def test_nothing_was_to_be_delivered() -> None:
    judged = judge(plain(delivered=0, expected=0), [])
    assert (judged.failed_because, judged.verdict) == ([], "pass")


NOBODY = {"connections": Connections(opened=0)}
BUSY = {"client": client(busy=1.0)}


@pytest.mark.parametrize(
    ("changed", "expression", "code"),
    [
        (NOBODY | BUSY, "gaps==9", 1),
        (NOBODY, "gaps==9", 1),
        (NOBODY | BUSY, "gaps==0", 1),
        (BUSY, "gaps==9", 3),
        (BUSY, "gaps==0", 3),
        ({}, "gaps==9", 99),
        ({}, "gaps==0", 0),
    ],
)
def test_of_several_exit_codes_the_first_of_1_3_99_0(
    changed: dict[str, Any], expression: str, code: int
) -> None:
    judged = judge(plain(**changed), thresholds(expression))
    assert exit_code(judged) == code
    assert judged.verdict == {1: "fail", 3: "invalid", 99: "fail", 0: "pass"}[code]


def test_a_mistake_comes_before_all_others() -> None:
    """It is found before anything runs, so that nothing else can be the exit code."""
    with pytest.raises(ThresholdError) as caught:
        parse("gaps=9")
    assert caught.value.exit_code == 2


def test_judging_again_judges_anew() -> None:
    first = judge(plain(**BUSY), thresholds("gaps==9"))
    calm = msgspec.structs.replace(first, client=client())
    assert judge(calm, thresholds("gaps==0")) == judge(plain(), thresholds("gaps==0"))
