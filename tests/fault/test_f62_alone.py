"""Row 62, one process alone: what a whole gateway can't be made to suffer on purpose."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytestmark = pytest.mark.alone

TIMEOUT_S = 60.0
WATCHED = """
import asyncio, hashlib, msgspec, os, sys, threading, time
from gateway._native import STATS_SIZE, StatsPage, create_memory
from gateway.supervisor.watchdog import Watchdog

async def main(fault):
    watchdog = Watchdog(StatsPage(create_memory("stats", STATS_SIZE), writable=True))
    watchdog.ready()
    await {"waits": waits, "starves": starves}[fault](watchdog)
    print(msgspec.json.encode(watchdog.report().stalls).decode())

async def waits(watchdog):
    work = hashlib.pbkdf2_hmac, ("sha256", b"", b"", 1_000_000_000)
    threading.Thread(target=work[0], args=work[1], daemon=True).start()  # computes without the GIL
    await asyncio.sleep(1)
    time.sleep(0.4)
    await asyncio.sleep(0.1)

async def starves(watchdog):
    print("ready", flush=True)
    sys.stdin.readline()
    # Whoever wants this CPU gets it before us.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while not any(row.kind == "theft" for row in watchdog.report().stalls):
        await asyncio.sleep(0.02)

asyncio.run(main(sys.argv[1]))
sys.stdout.flush()
os._exit(0)
"""
HOG = "while True: pass"


@contextmanager
def running(code: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-P", "-c", code, *argv]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def rows_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, _ = process.communicate("\n", TIMEOUT_S)
    rows: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    return rows


def test_f62_a_callback_that_waits_is_the_loops() -> None:
    with running(WATCHED, "waits") as process:
        rows = rows_of(process)
    (row,) = [row for row in rows if row["ms"] >= 300]
    assert (row["kind"], row["words"]) == ("loop", "a callback waited while other threads ran")


@pytest.mark.usefixtures("usual_priority")
def test_f62_a_process_without_a_cpu_is_starved() -> None:
    cpu = min(os.sched_getaffinity(0))
    with running(WATCHED, "starves") as process, running(HOG) as hog:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for one in (process, hog):
            os.sched_setaffinity(one.pid, {cpu})
        rows = rows_of(process)
    assert any(row["kind"] == "theft" and "without a CPU" in row["words"] for row in rows), rows
