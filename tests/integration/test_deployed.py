"""The examples of configs/deploy as they are meant: the unit's sandbox, and the container."""

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support import confined
from support.fleet import Client
from support.serving import serving, until
from support.udp import Venue

from gateway.cli import main
from gateway.loadtest.ports import free_udp_port

SMALL = ("ring.capacity_bytes=1048576", "plane.log_bytes=8388608")
UNIT = confined.UNIT
EXPOSURE_MAX = 2.0


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --- the unit -------------------------------------------------------------------------------------


def test_the_unit_has_no_unknown_lines(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    text = UNIT.read_text()
    here.write_text(
        re.sub(r"^ExecStart=\S+", f"ExecStart={shutil.which('true')}", text, flags=re.M)
    )
    done = analyze("verify", str(here))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_exposes_little() -> None:
    limit = str(round(EXPOSURE_MAX * 10))
    done = analyze("security", "--offline=true", f"--threshold={limit}", str(UNIT))
    assert done.returncode == 0, done.stdout
    exposed = {re.split(r"\s{2,}", line)[0][2:] for line in done.stdout.splitlines() if "✗" in line}
    assert not {one for one in exposed if one.startswith("CapabilityBoundingSet")}
    assert not exposed & {"NoNewPrivileges=", "MemoryDenyWriteExecute=", "ProtectSystem=", "UMask="}


@pytest.mark.threat("I7")
def test_the_unit_keeps_what_it_writes_to_itself() -> None:
    unit = confined.settings()
    said = {key: unit[key] for key in ("StateDirectoryMode", "UMask", "LimitCORE", "ProtectProc")}
    assert said == {
        "StateDirectoryMode": ["0700"],
        "UMask": ["0077"],
        "LimitCORE": ["0"],
        "ProtectProc": ["invisible"],
    }


@pytest.mark.threat("E2")
def test_the_gateway_serves_reloads_and_records_in_the_units_sandbox(tmp_path: Path) -> None:
    if why := confined.lacks():
        pytest.skip(why)
    config = tmp_path / "gateway.toml"
    config.write_text('[log]\nlevel = "info"\n')
    before = confined.command(tmp_path)
    with (
        Venue() as venue,
        serving(tmp_path / "log", *SMALL, *venue.sets, config=config, before=before) as gateway,
    ):
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
        facts = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
        assert {facts[key] for key in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
        assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
        assert resource.prlimit(gateway.pid(), resource.RLIMIT_CORE) == (0, 0)
        with Client(gateway.url) as client, venue.ticking("A"):
            client.subscribe("trade", "A.SIM")
            until(lambda: gateway.metrics().of("deliveries_total", "trade") > 10)
        config.write_text(config.read_text().replace('"info"', '"debug"'))
        os.kill(gateway.process.pid, signal.SIGHUP)
        until(lambda: "reload.changed" in gateway.lines())
        assert main(["ready", "--ops", gateway.ops]) == 0
        recording = tmp_path / "now.tgrec"
        assert main(["record", "-o", str(recording), "--ops", gateway.ops]) == 0
        assert recording.stat().st_size > 0
        lines = gateway.lines()
        assert "Traceback" not in lines
        assert "denied" not in lines


@pytest.mark.threat("E2")
def test_the_sandbox_is_one(tmp_path: Path) -> None:
    if why := confined.lacks():
        pytest.skip(why)
    inside, outside = tmp_path / "state", tmp_path / "other"
    inside.mkdir()
    script = f"""
import os, socket, mmap
open({str(inside / "ok")!r}, "w").close()
for what in (
    lambda: open({str(outside)!r}, "w"),
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: os.setuid(1),
    lambda: os.chown({str(inside / "ok")!r}, 1, 1),
):
    try:
        what()
    except OSError as error:
        print(error.errno)
    else:
        print("done")
"""
    words = [*confined.command(inside), "/usr/bin/env", "python3", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    first, *others = done.stdout.split()
    assert (first, set(others) <= {"1", "13"}, len(others)) == ("30", True, 4)


def test_nobody_answers_for_a_gateway_that_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_udp_port()
    assert main(["ready", "--ops", f"http://127.0.0.1:{port}/"]) == 1
    assert "not ready: no answer from" in capsys.readouterr().err
