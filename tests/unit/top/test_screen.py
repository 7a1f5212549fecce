"""What the terminal shows of a document: as text, at the usual sizes."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from support import ops_now
from support.ops_now import TS

from gateway.latency.slo import STATES
from gateway.top import words
from gateway.top.now import read, read_points
from gateway.top.screen import Size, draw

S = 1_000_000_000
DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "ok": ops_now.now,
    "breached": ops_now.overloaded,
    "infeasible": ops_now.infeasible,
    "idle": ops_now.idle,
}


def text(
    document: dict[str, Any],
    width: int = 80,
    height: int | None = None,
    *,
    points: list[dict[str, Any]] | None = None,
    trouble: str = "",
    colour: bool = False,
) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        height=height or 1000,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
    )
    past = read_points(points or [])
    console.print(draw(read(document), past, Size(width, height), trouble))
    return out.getvalue()


def line(shown: str, beginning: str) -> str:
    return next(one for one in shown.splitlines() if one.startswith(beginning))


# --- what it says ---------------------------------------------------------------------------------


def test_state_and_budget_come_first_and_in_words() -> None:
    who, state, budget, action, *_ = text(ops_now.now()).splitlines()
    assert who.startswith("tickgate 0.1.0  ready  up 3 h 12 min  epoch k3f9")
    assert state.startswith(
        "OK  p99 0.411 ms, target 1.00 ms, for 3 h 12 min; 31 of 81,234 late or lost"
    )
    assert budget.startswith("budget 96.2 % left  burn 5m 0.04x")
    assert action.startswith("enforced: every class is live")


def test_a_breach_says_since_when_what_burns_and_what_is_done() -> None:
    shown = text(ops_now.overloaded())
    assert "BREACHED  p99 5.23 ms, target 1.00 ms, for 42 s; 1,231 of 81,234 late or lost" in shown
    assert "budget spent 1.4 times  BURNING 1h/5m  burn 5m 31x" in shown
    assert "class 2 (lowered) 20 ms, class 3 (bulk) paused; overloaded for 7 s" in shown
    assert "not ready: worker-1 keeps dying (signal)" in shown
    assert "feed udp:9700 is down: no datagram for 5 s" in shown


def test_observing_says_that_nothing_is_done() -> None:
    assert "only observed: every class is live" in text(ops_now.now({"enforce": False}))


def test_infeasible_says_what_it_is() -> None:
    shown = text(ops_now.infeasible())
    assert "INFEASIBLE" in shown
    assert "one record to 5,000 subscribers takes 18.0 ms" in shown


def test_nothing_recorded_is_no_good_figure() -> None:
    shown = text(ops_now.idle())
    assert "IDLE  nothing delivered in the last 10 s; target 1.00 ms for p99" in shown
    assert "p50 -  p99 -  p99.9 -  max -  of 0" in shown
    assert line(shown, "total").split() == ["total", "-", "-", "-", "-", "0"]


def test_stages_are_told_beside_the_target_and_why_they_do_not_add_up() -> None:
    document = ops_now.now()
    document["stages"]["ingest"] = ops_now.latency(0.5)  # not a hundredth of the target
    shown = text(document)
    assert line(shown, "total").split()[1:5] == ["0.031", "ms", "0.125", "ms"]
    assert line(shown, "ring").split()[1:5] == ["0.005", "ms", "0.020", "ms"]
    assert line(shown, "ingest").split()[1:5] == ["0.500", "µs", "2.00", "µs"]
    assert "percentiles of stages do not add up" in shown
    short = text(document, height=17).splitlines()
    assert len(short) <= 17
    assert not any("add up" in one for one in short)  # figures come before it


def test_each_class_has_its_figures_and_how_it_is_served() -> None:
    shown = text(ops_now.overloaded(), 100)
    assert line(shown, "1 bbo").split()[2:] == [
        *("0.124", "ms", "1.00", "ms", "81,234", "4", "0", "live", "ok"),
    ]
    assert line(shown, "2 lowered").split()[-3:] == ["20", "ms", "ok"]
    assert line(shown, "3 bulk").split()[2:] == ["-", "-", "0", "12", "0", "paused", "ok"]


def test_what_a_feed_refused_last_is_shown() -> None:
    last = {
        "symbol": "BTTC.SIM",
        "channel": "bbo",
        "field": "bid",
        "value": "1\x1b[2J",
        "why": "no",
    }
    feed = ops_now.feed("udp:1", refused={"number": 3}, decode_errors=3, last_refused=last)
    shown = text(ops_now.now() | {"feeds": [feed]}, 200)
    assert "BTTC.SIM bbo bid: no (1?[2J)" in shown
    assert "refused" in shown


def test_the_worker_that_does_most_is_first_and_the_troubled_feed() -> None:
    rows = text(ops_now.overloaded(), 100).splitlines()
    workers = [row for row in rows if row.startswith("worker-")]
    assert workers[0].split()[:6] == ["worker-0", "4", "live", "live", "20", "paused"]
    feeds = [row for row in rows if row.startswith(("udp:", "synthetic:"))]
    assert feeds[0].startswith("udp:9700")


def test_transitions_and_stalls_come_newest_first() -> None:
    rows = text(ops_now.overloaded(), 120).splitlines()
    changes = [row for row in rows if " ladder " in row]
    assert changes[0].split()[:8] == ["41", "s", "ago", "worker-0", "ladder", "19", "to", "20"]
    assert len(changes) == 20
    assert "collection of generation 2 took 212 ms" in rows[-1]


# --- the bars -------------------------------------------------------------------------------------


def bars(points: list[dict[str, Any]], width: int = 80) -> str:
    return line(text(ops_now.now(), width, points=points), "p99 ").removeprefix("p99 ")


def test_a_bar_is_the_worst_of_its_seconds_never_a_mean() -> None:
    quiet = [ops_now.point(TS - n * S, 100) for n in range(300)]
    quiet[2] = ops_now.point(TS - 2 * S, 90_000)
    shown = bars(quiet)
    assert shown[-1] == "█"
    assert set(shown[:-1].strip()) == {"▁"}


@pytest.mark.parametrize(
    ("p99_us", "bar"),
    [
        (10, "▁"),
        (125, "▁"),
        (126, "▂"),
        (500, "▃"),
        (501, "▄"),
        (1000, "▄"),
        (1001, "▅"),
        (9e6, "█"),
    ],
)
def test_above_half_is_over_the_target(p99_us: float, bar: str) -> None:
    assert bars([ops_now.point(TS, p99_us)]).strip() == bar


def test_seconds_without_samples_and_those_long_past_are_blank() -> None:
    empty = [ops_now.point(TS, None), ops_now.point(TS - 301 * S, 500)]
    assert not bars(empty).strip()


# --- how much of it -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", DOCUMENTS)
@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("height", [24, 40, 80])
def test_it_fits(state: str, width: int, height: int) -> None:
    lines = text(DOCUMENTS[state](), width, height, trouble="STALE").splitlines()
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("height", range(1, 40))
def test_what_is_most_important_is_cut_last(height: int) -> None:
    lines = text(ops_now.overloaded(), 80, height).splitlines()
    assert len(lines) <= height
    assert lines[0].startswith("tickgate")
    if height >= 7:
        assert any(one.startswith("BREACHED") for one in lines)


def test_more_room_shows_more() -> None:
    low, high = (text(ops_now.overloaded(), 80, height) for height in (24, 60))
    assert "collection of generation" not in low
    assert "collection of generation 2" in high
    assert line(high, "class") in low


def test_states_are_called_by_their_names() -> None:
    assert tuple(words.STATES) == STATES
    change = {"ts": TS, "worker": "gateway", "kind": "state", "was": 0, "step": 1, "reason": "late"}
    assert " state  ok to at risk  late" in text(ops_now.now(history=[change]), 120)


def test_what_is_cut_off_is_counted() -> None:
    shown = text(ops_now.overloaded(), 80, 50)
    (rest,) = [one for one in shown.splitlines() if "more" in one]
    hidden = int(rest.split()[1])
    assert shown.count(" ladder ") + hidden == 20


@pytest.mark.parametrize("width", [80, 120])
def test_figures_stay_whole_and_words_are_cut(width: int) -> None:
    document = ops_now.overloaded()
    document["slowest"][0]["why"] = "its socket takes little " * 20
    row = line(text(document, width), "c-17")
    assert "18,000" in row
    assert row.rstrip().endswith("…")


def test_the_past_is_called_the_past() -> None:
    assert text(ops_now.now(), trouble="STALE: 12 s ago").startswith("STALE: 12 s ago")


# --- whoever wrote it -----------------------------------------------------------------------------

HOSTILE = "[bold red]X[/] \x1b[31m\x9b2J\r\n\x07:warning:\u202e<img/src=x>"


def everywhere(value: Any) -> Any:
    """The same document with the hostile string for each string in it."""
    if isinstance(value, dict):
        return {HOSTILE if isinstance(k, str) and k in ("5m", "wire") else k: everywhere(v)
                for k, v in value.items()}  # fmt: skip
    if isinstance(value, list):
        return [everywhere(one) for one in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("state", DOCUMENTS)
def test_text_from_outside_is_text(state: str, colour: bool) -> None:
    shown = text(everywhere(DOCUMENTS[state]()), 400, colour=colour, trouble=HOSTILE)
    assert "[bold red]X[/] ?[31m?2J???:warning:?<img/src=x>" in shown
    for character in ("\x9b", "\r", "\x07", "\u202e"):
        assert character not in shown
    assert ("\x1b" in shown) == colour
    assert "\x1b[31m?2J" not in shown


# --- documents of another version -----------------------------------------------------------------


def test_a_document_of_a_few_fields_is_shown() -> None:
    shown = text({"ts": TS, "new": [1], "slo": {"state": "unheard_of", "count": 1}})
    assert "UNHEARD_OF" in shown


@pytest.mark.parametrize("document", [None, [], {"ts": "x"}, {"slo": []}, {"levels": {"a": 1}}])
def test_what_is_no_document_is_a_value_error(document: Any) -> None:
    with pytest.raises(ValueError, match="Expected"):
        read(document)
