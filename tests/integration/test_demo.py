"""`tickgate demo` serves with a target that this host can hold, and says which and why."""

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.facts import MIB, facts, wakes
from support.serving import Serving, serving, until

from gateway.tune import choose, host, keep
from gateway.tune.facts import Facts, Memory
from gateway.tune.propose import propose

TARGET = re.compile(r"^  target     p99 of [\d.]+ [mµ]s \(slo\.target_us = (\d+)\): (.*)$", re.M)


def told(gateway: Serving) -> tuple[int, str]:
    """Target and reason of the line that it printed."""
    found: re.Match[str] = until(lambda: TARGET.search(gateway.lines()))
    return int(found[1]), found[2]


def serves(gateway: Serving) -> dict[str, Any]:
    """The configuration in force."""
    config: dict[str, Any] = gateway.status()["config"]
    return config


def kept(directory: Path, **more: Any) -> Facts:
    """Keeps a measurement of this host."""
    found = facts(host=host.host(), taken_ns=time.time_ns(), **more)
    directory.mkdir(exist_ok=True)
    assert keep.save(directory / keep.NAME, found) == ""
    return found


def test_it_serves_with_what_was_measured_before(tmp_path: Path) -> None:
    state = tmp_path / "kept"
    small = Memory(total_bytes=512 * MIB, available_bytes=256 * MIB)
    slow = wakes(5000.0, 40_000.0)
    found = propose(kept(state, wake=slow, wake_busy=slow, memory=small), workers=1)
    before = (state / keep.NAME).read_bytes()
    environ = {"STATE_DIRECTORY": str(state)}
    with serving(tmp_path / "log", environ=environ, command="demo") as gateway:
        target_us, why = told(gateway)
        config = serves(gateway)
        assert gateway.status()["slo"]["target_us"] == target_us
    proposed = found.get("slo.target_us")
    assert proposed is not None
    assert target_us == proposed.value == config["slo"]["target_us"]
    assert why == f"{proposed.reason} (measured before)"
    assert config["ring"]["capacity_bytes"] == config["plane"]["log_bytes"] == 16 * MIB
    assert config["plane"]["wait"] == "hybrid"  # a demo takes no core for itself
    assert (state / keep.NAME).read_bytes() == before


def test_else_it_measures_and_keeps_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    environ = {"STATE_DIRECTORY": str(state)}
    with serving(tmp_path / "log", environ=environ, command="demo") as gateway:
        target_us, why = told(gateway)
        assert serves(gateway)["slo"]["target_us"] == target_us >= 1000
        assert "recorder.off" in gateway.lines()
    assert "measured for 0.8 s just now" in why
    # A demo keeps what it measured, and writes nothing else into a home.
    assert [path.name for path in state.iterdir()] == [keep.NAME]
    found = msgspec.json.decode((state / keep.NAME).read_bytes(), type=Facts)
    proposed = propose(found, workers=1).get("slo.target_us")
    assert proposed is not None
    least = choose.CROWDED_US if found.host.cpus < 2 + choose.CPUS_WATCHED else 1000
    assert target_us == max(int(proposed.value), least)


def test_a_home_that_takes_nothing_is_no_error_and_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {"STATE_DIRECTORY": str(tmp_path / "file")}
    with serving(tmp_path / "log", environ=environ, command="demo") as gateway:
        target_us, _ = told(gateway)
        assert serves(gateway)["slo"]["target_us"] == target_us
        lines = [line for line in gateway.lines().splitlines() if "not kept" in line]
    assert len(lines) == 1
    assert str(tmp_path / "file") in lines[0]


@pytest.mark.parametrize(
    ("sets", "environ"),
    [(["slo.target_us=777"], {}), ([], {"TICKGATE_SLO__TARGET_US": "777"})],
)
def test_what_the_user_sets_wins_and_nothing_is_measured(
    sets: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    environ = environ | {"STATE_DIRECTORY": str(state)}
    with serving(tmp_path / "log", *sets, environ=environ, command="demo") as gateway:
        assert told(gateway) == (777, "as you set it")
        assert serves(gateway)["slo"]["target_us"] == 777
    assert not (state / keep.NAME).exists()


def test_a_display_target_that_the_user_sets_is_not_contradicted(tmp_path: Path) -> None:
    state = tmp_path / "kept"
    slow = wakes(5000.0, 40_000.0)
    kept(state, wake=slow, wake_busy=slow)
    environ = {"STATE_DIRECTORY": str(state)}
    sets = ["slo.display_target_us=2000", "ring.capacity_bytes=1048576"]
    with serving(tmp_path / "log", *sets, environ=environ, command="demo") as gateway:
        target_us, why = told(gateway)
        assert serves(gateway)["ring"]["capacity_bytes"] == 1 << 20
    assert target_us == 2000
    assert "slo.display_target_us allows no more" in why


def test_serve_is_not_touched_by_it(tmp_path: Path) -> None:
    state = tmp_path / "kept"
    slow = wakes(5000.0, 40_000.0)
    kept(state, wake=slow, wake_busy=slow)
    with serving(tmp_path / "log", environ={"STATE_DIRECTORY": str(state)}) as gateway:
        assert serves(gateway)["slo"]["target_us"] == 1000
