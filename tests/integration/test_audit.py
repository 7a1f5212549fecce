"""The audit of a gateway that runs, and what `tickgate usage` makes of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.serving import serving, until
from support.wire import Wire, close, request, subscribe

SMALL = ("ring.capacity_bytes=1048576", "plane.log_bytes=8388608", "recorder.enabled=false")
FEED = ("feeds.0.type=synthetic", "feeds.0.symbols=3")


def lines(directory: Path, process: str = "worker-0") -> list[dict[str, Any]]:
    file = directory / f"{process}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.threat("R1")
def test_a_client_s_life_is_four_lines_and_no_secret(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    secret = "s3cret"
    with serving(tmp_path / "log", *SMALL, *FEED, f"audit.path={directory}") as gateway:
        with Wire(gateway.url) as wire:
            wire.open(target=f"/v1?token={secret}")
            wire.send(subscribe(["SYM000.SIM", "*.SIM"]))
            assert wire.reply()["success"]
            wire.send(close(1000, secret.encode()))
            wire.closed()
        until(lambda: len(lines(directory)) == 4)
        with Wire(gateway.url) as wire:
            wire.send(request(more=[("Origin", f"https://{secret}.test")]))
            assert wire.response().status == 403
        until(lambda: len(lines(directory)) == 5)
        until(lambda: gateway.metrics().of("audit_lines_total") == 6)  # the supervisor's, too
    found = lines(directory)
    assert secret not in json.dumps(found)
    assert [one["event"] for one in found] == [
        *("start", "connect", "subscribe", "close", "refusal", "stop"),
    ]
    _, connect, asked, end, refusal, _ = found
    who = {"process": "worker-0", "id": connect["id"], "address": "127.0.0.1", "user": ""}
    assert connect["id"].startswith("c-")
    for one in (connect, asked, end):
        assert {key: one[key] for key in who} == who
    assert connect["path"] == "/v1"
    assert asked["symbols"] == {"trade": ["SYM000.SIM", "*.SIM"]}
    assert (end["code"], end["reason"]) == (1000, "normal")
    assert (refusal["result"], refusal["address"]) == ("origin", "127.0.0.1")


def test_usage_reads_what_a_gateway_wrote(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gateway.cli", "usage", "2026-11", "--audit", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("user  product")
    assert "there is no audit" in done.stderr
