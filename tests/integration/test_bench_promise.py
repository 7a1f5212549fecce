"""The load test's side of the latency promise: an overload from end to end, and `bench/in_turn.py`.

How fast anything is, is not asserted: the machine is not ours alone."""

import runpy
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.benches import COMMAND
from support.results import sample_groups
from support.serving import serving, until

from gateway.loadtest.result import GroupResult, from_json
from gateway.loadtest.scenario import load

ROOT = Path(__file__).parents[2]
OVERLOAD = """
warmup_s = 0.2
duration_s = 0.4
grace_s = 0.2
thresholds = ["per_s<2000"]  # so that the capacity is one that any machine has

[source]
channels = ["trade", "bbo"]
symbols = 10

[[groups]]
name = "trades"
clients = 3

[[groups]]
name = "screens"
clients = 20
channel = "bbo"
class = 2

[limit]
rate_min = 400
rate_max = 4000
steps = 1
retries = 0

[overload]
group = "screens"
target_factor = 100
peak_s = 0.6
after_s = 3.0
"""


def test_an_overload_from_the_search_to_the_ladder_s_way_back(tmp_path: Path) -> None:
    file, out, page = (tmp_path / f"small.{kind}" for kind in ("toml", "json", "md"))
    file.write_text(OVERLOAD)
    words = (str(file), "--json", str(out), "--markdown", str(page))
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=120)
    # What any machine can do is no overload; and a busy machine may be too slow for its clients.
    assert done.returncode in (3, 99), done.stderr + done.stdout
    found = from_json(out.read_bytes())
    assert found.overload is not None
    quiet, observe, enforce = found.overload.runs
    assert [run.name for run in (quiet, observe, enforce)] == ["quiet", "observe", "enforce"]
    assert found.limit is not None
    assert found.limit.passed == found.overload.capacity
    assert quiet.load == pytest.approx(0.5, abs=0.02)
    assert observe.load == enforce.load == pytest.approx(1.4, abs=0.02)
    slo: dict[str, Any] = found.scenario["gateway"]
    assert slo == {}, "the scenario as it was given"
    (screens,) = (row for row in enforce.rows if row.group == "screens")
    assert screens.class_number == 2
    assert screens.expected == pytest.approx(20 / 10 * enforce.rate / 2 * 0.6, rel=0.05)
    assert (screens.dropped, screens.closed) == (0, 0)
    assert (quiet.step_max, observe.step_max) == (None, 0), "who only watches takes no step"
    assert enforce.step_max is not None
    assert enforce.back_s is not None
    assert [one.expression for one in found.thresholds if "observe" in one.expression] == [
        f"observe: {name}.p99>{found.overload.target_us}us" for name in ("trades", "screens")
    ]
    assert page.read_text().count("| screens | 2 |") == 3
    assert "capacity: " in done.stderr
    assert "1.40 of capacity" in done.stdout


# --- bench/in_turn.py -----------------------------------------------------------------------------

IN_TURN = runpy.run_path(str(ROOT / "bench" / "in_turn.py"))


def test_taken_out_there_is_neither_controller_nor_monitor(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(IN_TURN["OFF"])
    feed = ("feeds.0.type=synthetic", "feeds.0.symbols=5", "feeds.0.rate=2000")
    name = "plane_busy_ratio"
    with serving(tmp_path / "on", *feed) as gateway:
        until(lambda: gateway.metrics().of(name, "worker-0") > 0)
        until(lambda: gateway.metrics().total("stage_latency_seconds_count") > 0)
    with serving(tmp_path / "off", *feed, environ={"PYTHONPATH": str(tmp_path)}) as gateway:
        records = gateway.metrics().total("published_total")
        until(lambda: gateway.metrics().total("published_total") > records + 1000)
        assert gateway.metrics().of(name, "worker-0") == 0


def test_the_loads_that_are_compared_are_good(tmp_path: Path) -> None:
    file = tmp_path / "cost.toml"
    file.write_text("\n".join(IN_TURN["lines"](IN_TURN["COST"])))
    made = load(file)
    assert [group.priority for group in made.groups] == [0, 1, 2]
    assert made.gateway == IN_TURN["COST"]["gateway"]


def told(slow: int | None, notices: int = 0, **changed: Any) -> dict[str, GroupResult]:
    readers, sluggish = list(sample_groups().values())[:2]
    changed = {"slow_notices": notices} | changed
    return {
        "readers": msgspec.structs.replace(readers, **changed),
        "slow": msgspec.structs.replace(sluggish, slow_clients=slow, conflated=900),
    }


@pytest.mark.parametrize(
    ("groups", "wrong"),
    [
        (told(40), []),
        (told(39), ["slow: 39 of 40 were told"]),
        (told(None), ["slow: None of 40 were told"]),
        (told(40, notices=2), ["readers: notices of slowness 2"]),
        (told(40, conflated=1), ["readers: conflated 1"]),
        (told(40, closed=1), ["readers: closed 1"]),
    ],
)
def test_only_the_slow_are_touched_and_each_is_told(
    groups: dict[str, GroupResult], wrong: list[str]
) -> None:
    assert IN_TURN["noticed"](groups) == wrong
