"""`tickgate tune` as a user meets it: text, JSON, a file that `config check` takes, exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from support.facts import MIB, facts, host, sends
from support.serving import until

from gateway.config import assemble, load
from gateway.tune import command, keep, measure, show
from gateway.tune.facts import Clocks, Facts, Memory
from gateway.tune.propose import propose

COMMAND = [sys.executable, "-P", "-m", "gateway.cli"]


def run(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    environ = dict(os.environ) | {"STATE_DIRECTORY": str(state)}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=30, env=environ, check=False
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"STATE_DIRECTORY": str(tmp_path / "state")}


def stub(monkeypatch: pytest.MonkeyPatch, found: Facts) -> list[float]:
    """Puts a measured host in the place of this one; the seconds that were asked for."""
    asked: list[float] = []

    def measured(seconds: float) -> Facts:
        asked.append(seconds)
        return found

    monkeypatch.setattr(measure, "measure", measured)
    return asked


# --- the whole ------------------------------------------------------------------------------------


def test_json_of_this_host_and_a_file_that_config_check_takes(tmp_path: Path) -> None:
    file, state = tmp_path / "tuned.toml", tmp_path / "state"
    done = run("tune", "--seconds", "0.4", "--json", "--output", str(file), state=state)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    proposed = {one["key"]: one["value"] for one in document["proposals"]}
    assert {"slo.target_us", "cluster.workers", "plane.wait", "ring.capacity_bytes"} <= set(
        proposed
    )
    assert all(one["reason"] for one in document["proposals"])
    kept = msgspec.json.decode((state / keep.NAME).read_bytes(), type=Facts)
    assert msgspec.convert(document["facts"], Facts) == kept
    done = run("config", "check", str(file), state=state)
    assert done.stdout.startswith("the configuration is good\n")
    config = load(file, {})
    assert config.slo.target_us == proposed["slo.target_us"]
    assert config.cluster.workers == proposed["cluster.workers"]


@pytest.mark.parametrize("bad", [["--seconds", "0"], ["--seconds", "61"], ["--clients", "0"]])
def test_usage(bad: list[str], tmp_path: Path) -> None:
    assert run("tune", *bad, state=tmp_path).returncode == 2


def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    environ = dict(os.environ) | {"STATE_DIRECTORY": str(tmp_path)}
    process = subprocess.Popen(
        [*COMMAND, "tune", "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    tasks = Path(f"/proc/{process.pid}/task")
    until(lambda: any("tickgate-tune" in f.read_text() for f in tasks.glob("*/comm")))
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=15)  # the first loop alone would last 10 s more
    assert (process.returncode, out, errors) == (0, "", "")
    assert os.listdir(tmp_path) == []


# --- parts ----------------------------------------------------------------------------------------


def test_seconds_and_clients_are_what_was_asked_for(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = stub(monkeypatch, facts()), io.StringIO()
    assert command.tune(3.5, 500, None, out, as_json=True, environ=environ) == 0
    assert asked == [3.5]
    assert json.loads(out.getvalue()) == json.loads(
        json.dumps(show.document(facts(), propose(facts(), 500)))
    )


def test_the_text_ends_with_a_fragment_to_paste(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(monkeypatch, facts(host=host(2), load=3.0))
    out, file = io.StringIO(), tmp_path / "tuned.toml"
    assert command.tune(10, 50, file, out, environ=environ) == 0
    text = out.getvalue()
    assert "send            a reader on another CPU: 4 us; 50 of them p50 200 us" in text
    assert "beside a busy thread: p50 15 us, p99 2 ms, p99.9 2 ms, max 2 ms" in text
    assert "clock           20 ns a look, tsc; no steps" in text
    assert "slo.target_us = 5000: two sweeps" in text
    assert "note: the load average was 3 on 2 CPUs" in text
    fragment = text[text.index("# Proposed by") :]
    assert fragment == file.read_text()
    assert tomllib.loads(fragment) == {
        "slo": {"target_us": 5000},
        "cluster": {"workers": 1},
        "plane": {"wait": "hybrid"},
        "ring": {"capacity_bytes": 64 * MIB},
    }
    assert assemble(tomllib.loads(fragment), {}).slo.target_us == 5000


def test_keys_of_one_section_are_together() -> None:
    found = facts(memory=Memory(total_bytes=512 * MIB, available_bytes=256 * MIB))
    fragment = show.toml(found, propose(found))
    assert fragment.count("[plane]") == 1
    assert tomllib.loads(fragment)["plane"] == {"wait": "spin", "log_bytes": 16 * MIB}


def test_nothing_measured_ends_with_1_says_why_and_is_not_kept(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = facts(
        clocks=None, send_across=None, send_beside=None, wake=None, wake_busy=None,
        missing=("wake-ups: a thread: no more of them",),
    )  # fmt: skip
    stub(monkeypatch, nothing)
    out = io.StringIO()
    assert command.tune(10, 50, None, out, environ=environ) == 1
    assert "not measured    wake-ups: a thread: no more of them" in out.getvalue()
    assert "not proposed: slo.target_us: wake-ups: a thread" in out.getvalue()
    assert "clock           not measured" in out.getvalue()
    assert "not kept: it says of no target" in capsys.readouterr().err
    assert keep.load(keep.path(environ), nothing.host, nothing.taken_ns) == (
        f"{environ['STATE_DIRECTORY']}/tune.json: not there yet"
    )


def test_steps_and_stolen_time_are_shown() -> None:
    found = facts(
        clocks=Clocks(source="", read_ns=20.0, steps=2, step_ns=-3_000_000),
        stolen_ns=20_000_000,
        host=host(2, quota=1.5),
        send_across=sends(4.0, held_us=300.0),
    )
    text = show.in_words(found, propose(found))
    assert "clock           20 ns a look, unknown; set 2 times, by 3 ms at most" in text
    assert "stolen time     20 ms in 10 s" in text
    assert "2 of 2 allowed, a quota of 1.5" in text
    assert "p50 200 us, p99 500 us" in text


def test_a_file_that_exists_is_left_alone_and_nothing_measured(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, file = stub(monkeypatch, facts()), tmp_path / "mine.toml"
    file.write_text("mine")
    with pytest.raises(command.OutputError, match="exists already"):
        command.tune(10, 50, file, io.StringIO(), environ=environ)
    with pytest.raises(command.OutputError, match="no such directory"):
        command.tune(10, 50, tmp_path / "no" / "x.toml", io.StringIO(), environ=environ)
    with pytest.raises(command.OutputError, match="no such directory"):
        command.tune(10, 50, tmp_path / ("long" * 99) / "x", io.StringIO(), environ=environ)
    assert file.read_text() == "mine"
    assert asked == []


def test_where_it_cannot_be_kept_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub(monkeypatch, facts())
    (tmp_path / "file").touch()
    environ = {"STATE_DIRECTORY": str(tmp_path / "file")}
    assert command.tune(10, 50, None, io.StringIO(), environ=environ) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tickgate: the measurement is not kept: {tmp_path}/file/tune.json: ")
