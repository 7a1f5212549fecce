"""The open-loop schedule: when which tick is due."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.loadtest.scenario import ScenarioError, Source
from gateway.loadtest.schedule import CHUNK_S, ROWS_MAX, Chunk, Schedule, intended
from gateway.model.record import CHANNELS

SECOND = 1_000_000_000
TRADE, BBO = CHANNELS["trade"].number, CHANNELS["bbo"].number


def schedule(warmup_s: float = 1.0, duration_s: float = 2.0, **source: Any) -> Schedule:
    return Schedule(Source(**source), warmup_s=warmup_s, duration_s=duration_s)


def joined(made: Schedule) -> Chunk:
    chunks = list(made.chunks())
    return Chunk(*(np.concatenate(columns) for columns in zip(*chunks, strict=True)))


def between(rows: Chunk, start_s: float, end_s: float) -> int:
    first, end = np.searchsorted(rows.due_ns, (start_s * SECOND, end_s * SECOND))
    return int(end - first)


def test_steady_is_even_to_the_nanosecond() -> None:
    rows = joined(schedule(rate=3000.0))
    assert rows.due_ns.tolist() == [round(k * SECOND / 3000) for k in range(9000)]


def test_the_end_belongs_to_nobody() -> None:
    made = schedule(warmup_s=0.1, duration_s=0.2, rate=10.0)
    assert made.window_ns == (SECOND // 10, 3 * SECOND // 10)
    assert joined(made).due_ns.tolist() == [0, SECOND // 10, SECOND // 5]
    # 3000 * 0.017 is 51.00000000000001: tick 51 is due just before the end, and rounded to it.
    assert len(joined(schedule(warmup_s=0, duration_s=0.017, rate=3000.0)).due_ns) == 51


def test_channels_and_symbols_take_turns_and_each_topic_is_even() -> None:
    rows = joined(schedule(rate=600.0, symbols=3, channels=["bbo", "trade"]))
    assert rows.channel[:4].tolist() == [BBO, TRADE, BBO, TRADE]
    assert rows.symbol[:8].tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
    for code in (TRADE, BBO):
        for symbol in range(3):
            mine = (rows.symbol == symbol) & (rows.channel == code)
            spacing = np.diff(rows.due_ns[mine])
            assert mine.sum() == 300
            assert spacing.max() - spacing.min() <= 1


def test_a_ramp_goes_from_one_rate_to_the_other_inside_the_window() -> None:
    rows = joined(schedule(shape="ramp", rate=1000.0, to_rate=5000.0, warmup_s=1.0, duration_s=4.0))
    assert between(rows, 0, 1) == 1000
    # The integral of 1000 + 1000 t over each second of the window.
    for second in range(4):
        assert between(rows, 1 + second, 2 + second) == pytest.approx(1500 + 1000 * second, abs=1)
    assert len(rows.due_ns) == pytest.approx(13_000, abs=1)


def test_a_ramp_may_fall() -> None:
    rows = joined(schedule(shape="ramp", rate=2000.0, to_rate=1.0, warmup_s=0.0, duration_s=2.0))
    assert between(rows, 0, 1) == pytest.approx(1500, abs=1)
    assert len(rows.due_ns) == pytest.approx(2001, abs=1)
    assert rows.due_ns[-1] < 2 * SECOND


def test_bursts_begin_with_the_window_and_come_again() -> None:
    burst = {"shape": "burst", "burst_rate": 10_000.0, "burst_s": 0.1, "burst_every_s": 1.0}
    rows = joined(schedule(rate=100.0, warmup_s=1.5, duration_s=2.5, **burst))
    assert between(rows, 0, 0.5) == 50
    for start_s in (0.5, 1.5, 2.5, 3.5):
        assert between(rows, start_s, start_s + 0.1) == pytest.approx(1000, abs=1)
        if start_s < 3.5:
            assert between(rows, start_s + 0.1, start_s + 1) == pytest.approx(90, abs=1)
    inside = np.diff(rows.due_ns[(rows.due_ns > 0.51 * SECOND) & (rows.due_ns < 0.59 * SECOND)])
    assert abs(inside - SECOND / 10_000).max() <= 1


def test_popular_symbols_have_their_share_and_the_seed_decides() -> None:
    zipf: dict[str, Any] = {"symbols": 50, "popularity": "zipf", "rate": 20_000.0}
    rows = joined(schedule(**zipf))
    share = np.bincount(rows.symbol, minlength=50) / len(rows.symbol)
    weights = 1 / np.arange(1, 51)
    assert share == pytest.approx(weights / weights.sum(), abs=0.01)
    assert (joined(schedule(**zipf)).symbol == rows.symbol).all()
    assert (joined(schedule(seed=2, **zipf)).symbol != rows.symbol).any()
    assert set(np.unique(rows.symbol)) == set(range(50))


def test_chunks_are_bounded_in_time_and_rows() -> None:
    for chunk in schedule(rate=400_000.0, warmup_s=0.0, duration_s=1.0).chunks():
        assert 0 < len(chunk.due_ns) <= ROWS_MAX
        assert chunk.due_ns[-1] - chunk.due_ns[0] <= CHUNK_S * SECOND
        assert [str(column.dtype) for column in chunk] == ["int64", "int32", "uint8"]


@given(
    shape=st.sampled_from(["steady", "ramp", "burst"]),
    rate=st.floats(0.5, 20_000),
    other=st.floats(0.5, 20_000),
    warmup_s=st.floats(0, 1.5),
    duration_s=st.floats(0.01, 1.5),
    every_s=st.floats(0.02, 3),
)
def test_whatever_the_shape_times_rise_and_add_up_to_the_rate(
    shape: str, rate: float, other: float, warmup_s: float, duration_s: float, every_s: float
) -> None:
    options: dict[str, dict[str, Any]] = {
        "steady": {},
        "ramp": {"to_rate": other},
        "burst": {"burst_rate": other, "burst_s": every_s / 3, "burst_every_s": every_s},
    }
    made = schedule(warmup_s, duration_s, shape=shape, rate=rate, symbols=7, **options[shape])
    rows = joined(made)
    start_ns, end_ns = made.window_ns
    assert rows.due_ns[0] == 0
    assert (np.diff(rows.due_ns) >= 0).all()
    assert rows.due_ns[-1] < end_ns
    assert rows.symbol.tolist() == [k % 7 for k in range(len(rows.symbol))]
    whole = between(rows, start_ns / SECOND, end_ns / SECOND)
    assert sum(int(count.sum()) for count in intended(made, start_ns, end_ns).values()) == whole
    mean = {"steady": rate, "ramp": (rate + other) / 2}.get(shape)
    if mean is not None:
        assert whole == pytest.approx(mean * duration_s, abs=2)
    else:
        assert min(rate, other) * duration_s - 2 <= whole <= max(rate, other) * duration_s + 2


def test_what_is_intended_is_counted_by_channel_and_symbol() -> None:
    made = schedule(rate=100.0, symbols=4, channels=["trade", "bbo"])
    found = intended(made, SECOND, 2 * SECOND)
    rows = joined(made)
    inside = (rows.due_ns >= SECOND) & (rows.due_ns < 2 * SECOND)
    for name, code in (("trade", TRADE), ("bbo", BBO)):
        wanted = [
            int((inside & (rows.channel == code) & (rows.symbol == k)).sum()) for k in range(4)
        ]
        assert found[name].tolist() == wanted
    assert sum(int(count.sum()) for count in found.values()) == 100


# --- captures -------------------------------------------------------------------------------------


NS = 1_723_161_253_000_000_000


def line(at_ns: int, stream: str) -> bytes:
    return b'%d {"stream":"btcusdt@%s","data":{"s":"BTCUSDT"}}\n' % (at_ns, stream.encode())


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., str]:
    """Writes a capture of these lines; its path."""

    def write(*lines: bytes) -> str:
        path = tmp_path / "capture.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(lines)))
        return str(path)

    return write


def test_a_capture_keeps_its_times_and_channels_and_begins_again(
    recorded: Callable[..., str],
) -> None:
    origin = 1_723_161_253_000_000_000
    path = recorded(
        line(origin - 5, "depth@100ms"),
        line(origin, "trade"),
        b"no capture's line\n",
        line(origin + 200_000_000, "bookTicker"),
        b'%d {"lastUpdateId":1,"bids":[]}\n' % (origin + 1),
        line(origin + 600_000_000, "trade"),
        line(origin + 500_000_000, "trade"),  # The receiver's clock went back: it counts as later.
    )
    made = schedule(0, 1, shape="capture", capture=path, speed=2.0, channels=["trade", "bbo"])
    rows = joined(made)
    # Four records in 300 ms: the next pass follows after the mean spacing of 100 ms.
    once = [0, 100_000_000, 300_000_000, 300_000_000]
    again = [400_000_000 + at for at in once]
    assert rows.due_ns.tolist() == [*once, *again, 800_000_000, 900_000_000]
    assert rows.channel.tolist() == [TRADE, BBO, TRADE, TRADE] * 2 + [TRADE, BBO]
    alone = joined(schedule(0, 0.7, shape="capture", capture=path, channels=["trade"]))
    assert alone.due_ns.tolist() == [0, 600_000_000, 600_000_000]
    assert set(alone.channel.tolist()) == {TRADE}


def test_a_real_capture(capture: Callable[[str], Path]) -> None:
    path = str(capture("binance/spot_btcusdt_20240808.jsonl.gz"))
    made = schedule(0, 346, shape="capture", capture=path, channels=["trade", "bbo"])
    found = intended(made, *made.window_ns)
    assert found["trade"].sum() == pytest.approx(9757, abs=10)
    assert found["bbo"].sum() == pytest.approx(28_040, abs=50)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "0 records of trade"),
        ([line(NS, "trade")], "1 records of trade"),
        ([line(NS, "trade"), line(NS, "trade")], "2 records of trade"),
        ([line(NS, "bookTicker"), line(NS + 1, "bookTicker")], "0 records of trade"),
        *(
            ([line(NS // unit, "trade"), line(NS // unit + 5, "trade")], "expected nanoseconds")
            for unit in (10**3, 10**6, 10**9)
        ),
        ([line(-NS, "trade")], "'-172316125300000000'; expected nanoseconds"),
        ([line(9 * 10**18 + 10**18 - 1, "trade")], "'9999999999999999999'; expected nanoseconds"),
        ([b"2024-08-08T23:54:13 " + line(0, "trade")[2:]], "'2024-08-08T23:54:13'; expected nano"),
    ],
)
def test_a_capture_without_a_schedule_is_refused(
    recorded: Callable[..., str], lines: list[bytes], said: str
) -> None:
    with pytest.raises(ScenarioError, match=f"source.capture: .*{said}"):
        schedule(shape="capture", capture=recorded(*lines))


def test_a_capture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(line(NS, "trade") * 1000)[:-20])
    plain = tmp_path / "plain"
    plain.write_bytes(line(5, "trade"))
    for path in (cut, plain, tmp_path / "absent"):
        with pytest.raises(ScenarioError, match=f"source.capture: {path}: ."):
            schedule(shape="capture", capture=str(path))


# --- the cool-down --------------------------------------------------------------------------------


def test_a_burst_of_the_window_ends_with_it_and_the_load_goes_on() -> None:
    burst: dict[str, Any] = {
        "shape": "burst",
        "burst_rate": 1400.0,
        "burst_s": 2.0,
        "burst_every_s": 9.0,
    }
    made = Schedule(Source(rate=500.0, **burst), warmup_s=1.0, duration_s=2.0, cooldown_s=3.0)
    assert (made.window_ns, made.end_ns) == ((SECOND, 3 * SECOND), 6 * SECOND)
    due = np.concatenate([chunk.due_ns for chunk in made.chunks()])
    seconds = np.bincount(due // SECOND, minlength=6).tolist()
    assert seconds == pytest.approx([500, 1400, 1400, 500, 500, 500], abs=1)


def test_a_steady_load_goes_on() -> None:
    made = Schedule(Source(rate=100.0), warmup_s=0.5, duration_s=1.0, cooldown_s=0.5)
    assert sum(len(chunk.due_ns) for chunk in made.chunks()) == 200
    assert intended(made, *made.window_ns)["trade"].sum() == 100
