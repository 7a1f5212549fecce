"""`bench/one_core.py`: what it puts together, when it holds, and one short round of it."""

import argparse
from pathlib import Path

import one_core
import pytest
from one_core import Percentiles, Round
from support.results import sample_latency, sample_result

ROUND = Round(
    per_s=2e6,
    cpu_us=0.5,
    stages={name: Percentiles(100, 1000) for name in one_core.STAGES},
    clients=Percentiles(500, 1500),
    kernel=Percentiles(400, 1100),
    late=Percentiles(50, 90),
    doubts=[],
)
SLOW_CLIENTS = ROUND._replace(clients=Percentiles(500, 50_000), doubts=["clients too slow"])


def test_a_round_has_the_load_tests_ages_and_the_gateways_stages() -> None:
    result = sample_result(arrival=sample_latency(200.0), invalid_because=["busy"])
    window = {name: {"p50_us": 1.0, "p99_us": 2.0, "max_us": 3.0} for name in one_core.STAGES}
    made = one_core.round_of(result, window)
    assert result.latency is not None
    assert result.arrival is not None
    assert made.clients == (result.latency.p50_us, result.latency.p99_us)
    assert made.kernel == (result.arrival.p50_us, result.arrival.p99_us)
    assert made.stages["total"] == (1.0, 2.0)
    assert made.ratios == (made.clients.p99 / 2, made.kernel.p99 / 2)
    assert "NOT VALID: busy" in str(made)
    with pytest.raises(SystemExit, match="nothing"):
        one_core.round_of(sample_result(latency=None), window)


@pytest.mark.parametrize(
    ("rounds", "code", "said"),
    [
        ([ROUND], 0, "HOLDS"),
        ([ROUND, SLOW_CLIENTS], 0, "1 valid rounds of 2"),
        ([SLOW_CLIENTS, SLOW_CLIENTS], 3, "too slow"),
        ([ROUND._replace(clients=Percentiles(1, 10_001))], 1, "BROKEN"),
        ([ROUND._replace(kernel=Percentiles(1, 1301))], 1, "1.30 times (at most 1.3)"),
    ],
)
def test_the_medians_of_valid_rounds_decide(
    rounds: list[Round], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert one_core.verdict(rounds) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["json", "sbe"])
def test_a_round_measures_both_sides(tmp_path: Path, encoding: str) -> None:
    options = argparse.Namespace(
        rate=500.0, clients=5, warmup=0.5, duration=1.0, server_cpus=None, client_cpus="0"
    )
    options.encoding = encoding
    measured = one_core.measure(options, tmp_path / "result.json")
    assert measured.per_s > 0
    assert measured.cpu_us > 0
    for each in (*measured.stages.values(), measured.clients, measured.kernel):
        assert 0 < each.p50 <= each.p99
