"""Clients cut at random points while records flow, workers killed among it: nothing is lost."""

from pathlib import Path

from support.cuts import storm


def test_clients_cut_at_random_points_lose_and_double_nothing(tmp_path: Path) -> None:
    seen = storm(tmp_path / "log", 1, clients=50, cuts=4, kills=2)
    assert seen.cuts == 200
    assert seen.kills == 2
    assert seen.ends > 10
    assert seen.replayed > 1000
    assert seen.in_a_replay > 10
