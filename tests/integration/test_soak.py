"""`bench/soak.py`: a short one, and how it judges."""

import subprocess
import sys
from pathlib import Path

import pytest
import soak
import soak_ledger
from soak import Sample
from support.serving import Metrics

HERE = Path(__file__).parents[2] / "bench"
MIB = 1 << 20
OF_CLIENTS = ("clients that were", "subscribe requests", "attempts by", "usage: sessions")
STEADY = Sample(descriptors=100, threads=6, rss=100 * MIB, pss=50 * MIB)


@pytest.mark.alone
def test_f65_everything_that_is_counted_twice_is_equal(tmp_path: Path) -> None:
    words = ["--minutes", "0.06", "--change-s", "0.5", "--per-s", "60"]
    done = subprocess.run(
        [sys.executable, HERE / "soak.py", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    unequal = [line for line in done.stdout.splitlines() if "IS NOT" in line]
    if "timeout: " in done.stdout:  # the host had no time for some: they never saw what they got
        unequal = [line for line in unequal if not line.startswith(OF_CLIENTS)]
    assert unequal == [], done.stdout
    assert "FLAT, " in done.stdout
    for what in ("keys", "certificate"):
        assert f"changed: {what}\n" in done.stdout
    assert "GROWS" not in done.stdout


@pytest.mark.parametrize(
    ("last", "growing"),
    [
        (STEADY, ()),
        (STEADY._replace(descriptors=108, rss=102 * MIB, pss=52 * MIB), ()),
        (STEADY._replace(descriptors=109), ("descriptors",)),
        (STEADY._replace(threads=7), ("threads",)),
        (STEADY._replace(rss=103 * MIB), ("rss",)),
        (STEADY._replace(pss=53 * MIB), ("pss",)),
        (STEADY._replace(descriptors=50, rss=MIB), ()),
    ],
)
def test_what_grows(last: Sample, growing: tuple[str, ...]) -> None:
    first = [STEADY._replace(descriptors=1, rss=0, pss=0)] * soak.FIRST
    rows = soak.thirds([*first, *[STEADY] * 20, *[last] * 10])
    assert [row.what for row in rows] == list(Sample._fields)
    assert tuple(row.what for row in rows if not row.flat) == growing
    assert [row.what for row in rows if "GROWS" in str(row)] == list(growing)
    assert soak.thirds([*first, STEADY, last]) == []


def test_counters_are_summed_by_their_first_labels() -> None:
    metrics = Metrics(
        {
            ("tickgate_auth_total", "jwt", "ok"): 5.0,
            ("tickgate_auth_total", "jwt", "invalid"): 2.0,
            ("tickgate_auth_total", "api_key", "ok"): 1.0,
        }
    )
    assert soak_ledger.counted(metrics, "auth_total", "jwt") == 7
    assert soak_ledger.counted(metrics, "auth_total", "jwt", but=("ok",)) == 2
    assert soak_ledger.counted(metrics, "auth_total") == 8
    assert not soak_ledger.Row("x", 1, 2).equal
    assert "IS NOT" in str(soak_ledger.Row("x", 1, 2))
