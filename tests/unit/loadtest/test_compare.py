"""Two sets of results: what the intervals say, and what is not compared."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from support.results import sample_environment, sample_result, sample_timeline

from gateway.loadtest.compare import SECONDS_MIN, Comparison, NotComparable, Ratio, compare, text
from gateway.loadtest.result import Latency, Point, Result, ServerResult

FIGURES = ["p50", "p99", "cpu_per_delivery", "per_s"]


def at(minute: int, **changed: Any) -> Result:
    """A run that began at some minute."""
    return sample_result(started=f"2026-11-21T10:{minute:02}:00Z", **changed)


def costing(run: Result, cpu_us: float | None) -> Result:
    assert run.server is not None
    server = msgspec.structs.replace(run.server, cpu_us_per_delivery=cpu_us)
    return msgspec.structs.replace(run, server=server)


def long(median_us: float, seed: int, seconds: int = 60) -> list[Point]:
    """A longer timeline, whose neighbouring seconds are alike."""
    rng = np.random.default_rng(seed)
    drift, points = 0.0, []
    for second in range(seconds):
        drift = 0.5 * drift + float(rng.normal(0, 0.05))
        point = sample_timeline(median_us * math.exp(drift))[0]
        points.append(msgspec.structs.replace(point, t_s=float(second)))
    return points


def found(comparison: Comparison, figure: str) -> Ratio:
    return next(each for each in comparison.ratios if each.figure == figure)


def holds(ratio: Ratio, value: float) -> bool:
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= ratio.ratio <= ratio.high
    return ratio.low <= value <= ratio.high


# --- several runs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_turn", [True, False])
def test_runs_of_one_distribution_show_no_difference(in_turn: bool) -> None:
    minutes = (range(0, 8, 2), range(1, 8, 2)) if in_turn else (range(4), range(4, 8))
    a, b = ([at(minute, seed=minute + 1) for minute in side] for side in minutes)
    comparison = compare(a, b)
    assert [each.figure for each in comparison.ratios] == FIGURES
    for ratio in comparison.ratios:
        assert holds(ratio, 1)
        assert ratio.words == "no difference shown"
    assert comparison.method.startswith("4 pairs of runs" if in_turn else "4 and 4 runs")
    assert comparison.notes == []


@pytest.mark.parametrize("in_turn", [True, False])
def test_runs_twice_as_slow_show_it(in_turn: bool) -> None:
    minutes = (range(0, 8, 2), range(1, 8, 2)) if in_turn else (range(4), range(4, 8))
    a = [at(minute, seed=minute + 1) for minute in minutes[0]]
    b = [at(minute, seed=minute + 1, median_us=700) for minute in minutes[1]]
    comparison = compare(a, b)
    for figure in ("p50", "p99"):
        ratio = found(comparison, figure)
        assert not holds(ratio, 1)
        assert holds(ratio, 2)
        assert ratio.words.startswith(("B higher by 9", "B higher by 10"))
    assert holds(found(comparison, "per_s"), 1)
    assert found(compare(b, a), "p50").words.startswith(("B lower by 4", "B lower by 5"))


def test_pairs_see_what_drift_hides() -> None:
    """The machine slows down all the time; B costs a tenth more than its neighbour in A."""
    a = [costing(at(2 * k), 8 * 1.5**k) for k in range(4)]
    b = [costing(at(2 * k + 1), 8.8 * 1.5**k * (1.01 if k % 2 else 1.0)) for k in range(4)]
    paired = found(compare(a, b), "cpu_per_delivery")
    assert not holds(paired, 1)
    assert holds(paired, 1.1)
    later = [msgspec.structs.replace(run, started="2026-11-21T12:00:00Z") for run in b]
    assert holds(found(compare(a, later), "cpu_per_delivery"), 1)


def test_the_order_of_files_means_nothing() -> None:
    a, b = [at(2 * k, seed=k) for k in range(3)], [at(2 * k + 1, seed=k + 9) for k in range(3)]
    assert compare(a[::-1], b[1:] + b[:1]) == compare(a, b)


def test_welch_as_computed_by_hand() -> None:
    """Logs 0, 1, 2 and 1, 2, 3, 4: t of 4 degrees, standard error sqrt(1/3 + 5/12)."""
    a = [costing(at(k), math.exp(log)) for k, log in enumerate((0, 1, 2))]
    b = [costing(at(9 + k), math.exp(log)) for k, log in enumerate((1, 2, 3, 4))]
    ratio = found(compare(a, b), "cpu_per_delivery")
    reach = 2.776 * math.sqrt(1 / 3 + 5 / 12)
    assert (ratio.a, ratio.b) == pytest.approx((math.exp(1), math.exp(2.5)))
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(1.5 - reach), math.exp(1.5 + reach)))


# --- one run --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [SECONDS_MIN, 60])
def test_single_runs_are_compared_by_their_seconds(seconds: int) -> None:
    a, same, slow = (
        sample_result(timeline=long(median_us, seed, seconds))
        for median_us, seed in ((350, 1), (350, 2), (700, 3))
    )
    alike, doubled = compare([a], [same]), compare([a], [slow])
    assert [each.figure for each in alike.ratios] == FIGURES
    assert all(holds(found(alike, figure), 1) for figure in ("p50", "p99"))
    for figure in ("p50", "p99"):
        assert not holds(found(doubled, figure), 1)
        assert holds(found(doubled, figure), 2)
    assert "says nothing of another run" in alike.method


@pytest.mark.parametrize("seconds", [SECONDS_MIN, 60])
def test_intervals_of_seconds_hold_the_truth_about_as_often_as_they_say(seconds: int) -> None:
    """Neighbouring seconds correlate by one half; see the module."""
    run = sample_result()
    runs = [
        msgspec.structs.replace(run, timeline=long(350, seed, seconds)) for seed in range(1, 121)
    ]
    pairs = zip(runs[::2], runs[1::2], strict=True)
    held = sum(holds(found(compare([a], [b]), "p50"), 1) for a, b in pairs)
    assert 54 <= held < 60  # nine of ten, and not by being too wide to say anything


def test_too_few_seconds_give_no_interval() -> None:
    a, b = (sample_result(timeline=long(350, seed, SECONDS_MIN - 1)) for seed in (1, 2))
    for ratio in compare([a], [b]).ratios:
        assert (ratio.low, ratio.high) == (None, None)
        assert ratio.words == "too little to tell"


def test_seconds_without_deliveries_are_left_out() -> None:
    empty = Point(t_s=9.0, per_s=0.0, p50_us=None, p99_us=None, max_us=None, server_cpu=0.1)
    a, b = sample_result(), sample_result(seed=2)
    idle = msgspec.structs.replace(b, timeline=[*b.timeline, empty])
    assert compare([a], [idle]).ratios == compare([a], [b]).ratios


@pytest.mark.parametrize("runs", [1, 2])
def test_what_one_side_lacks_is_left_out(runs: int) -> None:
    blind = [msgspec.structs.replace(point, server_cpu=None) for point in sample_timeline(350)]
    a = [at(k) for k in range(runs)]
    b = [at(k + 9, server=None, timeline=blind) for k in range(runs)]
    assert [each.figure for each in compare(a, b).ratios] == ["p50", "p99", "per_s"]


def test_results_of_nothing_compare_to_nothing() -> None:
    none = Latency(p50_us=0, p90_us=0, p99_us=0, p999_us=0, max_us=0, mean_us=0, count=0, per_s=0.0)
    server = ServerResult(cpu_s=0.0, cpu_us_per_delivery=None, rss_mb=1.0, rss_mb_max=1.0)
    run = sample_result(latency=none, timeline=[], server=server)
    assert compare([run], [run]).ratios == []
    assert compare([run, run], [run, run]).ratios == []


# --- what is not compared -------------------------------------------------------------------------


def test_other_machines_are_refused_by_field() -> None:
    other = sample_environment(
        cpu="Another CPU", cores=64, libraries={"numpy": "1.0.0", "uvloop": "0.23.0"}
    )
    a, b = sample_result(), sample_result(seed=2, environment=other)
    with pytest.raises(NotComparable) as refused:
        compare([a], [b])
    assert str(refused.value).splitlines() == [
        "these results are not comparable:",
        "  environment.cpu: Example CPU @ 3.00GHz / Another CPU",
        "  environment.cores: 2 / 64",
        "  environment.libraries.numpy: 2.3.0 / 1.0.0",
    ]
    assert refused.value.exit_code == 2
    forced = compare([a], [b], force=True)
    assert [note.partition(":")[0] for note in forced.notes] == [
        "environment.cpu",
        "environment.cores",
        "environment.libraries.numpy",
    ]
    assert [each.figure for each in forced.ratios] == FIGURES


def test_a_library_that_only_one_has_is_a_difference() -> None:
    other = sample_environment(libraries={"numpy": "2.3.0"})
    with pytest.raises(NotComparable, match=r"environment\.libraries\.uvloop"):
        compare([sample_result()], [sample_result(environment=other)])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "other"}, "name: sample / other"),
        ({"clients": 7}, "clients: 120 / 7"),
        ({"duration_s": 60.0}, "duration_s: 6 / 60"),
        (
            {"scenario": {"name": "sample", "source": {"rate": 9.0}}},
            r"scenario\.source\.rate: 200\.0 / 9\.0",
        ),
    ],
)
def test_other_loads_are_refused_by_field(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(NotComparable, match=words):
        compare([sample_result()], [sample_result(**changed)])


def test_every_run_of_a_side_must_be_alike() -> None:
    with pytest.raises(NotComparable, match="clients: 120 / 7"):
        compare([at(0), at(1, clients=7)], [at(2), at(3)])


def test_versions_configuration_and_thresholds_may_differ() -> None:
    environment = sample_environment(tickgate="9.9", commit="other", machine_load=7.0)
    scenario = {"name": "sample", "source": {"rate": 200.0}, "gateway": {"workers": 2}}
    scenario |= {"thresholds": ["p99<1ms"], "description": "another"}
    b = sample_result(environment=environment, scenario=scenario, url="ws://127.0.0.1:1/v1")
    assert compare([sample_result()], [b]).notes == []


def test_results_of_different_encodings_are_not_compared() -> None:
    def of(**more: Any) -> Result:
        return sample_result(scenario={"duration_s": 6.0} | more)

    with pytest.raises(NotComparable, match=r"scenario\.encoding: json / sbe"):
        compare([of()], [of(encoding="sbe")])
    assert compare([of()], [of(encoding="json")]).notes == []  # older ones do not say it


def test_runs_that_are_not_valid_are_refused_with_their_reasons() -> None:
    bad = sample_result(valid=False, verdict="invalid", invalid_because=["the client was busy"])
    with pytest.raises(NotComparable, match="B: the client was busy"):
        compare([sample_result()], [bad])
    assert compare([bad, bad], [at(1), at(2)], force=True).notes == ["A: the client was busy"]


@pytest.mark.parametrize("force", [False, True])
def test_a_side_without_results_is_refused(force: bool) -> None:
    with pytest.raises(NotComparable, match="each side needs a result"):
        compare([sample_result()], [], force=force)


# --- as text --------------------------------------------------------------------------------------


def test_the_table_says_it_all_in_80_columns() -> None:
    a = [at(2 * k, seed=k) for k in range(3)]
    b = [at(2 * k + 1, seed=k + 9, median_us=700, clients=7) for k in range(3)]
    comparison = compare(a, b, force=True)
    lines = text(comparison).splitlines()
    assert max(map(len, lines)) <= 80
    ratio = found(comparison, "p50")
    row = next(line for line in lines if line.startswith("p50"))
    assert f"{ratio.ratio:.3f}" in row
    assert f"{ratio.low:.3f} to {ratio.high:.3f}" in row
    assert row.endswith(ratio.words)
    assert next(line for line in lines if line.startswith("per_s")).count("20.0 k/s") == 2
    assert "3 pairs of runs taken in turn" in text(comparison)
    assert lines[-1] == "but: clients: 120 / 7"


def test_the_table_without_intervals() -> None:
    a, b = (sample_result(timeline=long(350, seed, 3)) for seed in (1, 2))
    rows = text(compare([a], [b])).splitlines()
    assert rows[1].endswith("too little to tell")
    assert " to " not in rows[1].removesuffix("too little to tell")
