"""The controller of a whole gateway, as its clients see it, and whoever runs it."""

import re
from typing import Any

import pytest
from support.serving import Serving, until
from support.stage import Stage

MARKET = ('feeds.0.type="synthetic"', "feeds.0.symbols=20", "feeds.0.rate=20000")


def worker(gateway: Serving) -> Any:
    """What the worker says of itself."""
    return gateway.status()["workers"][0]


def test_a_client_that_does_not_read_is_told_and_named(stage: Stage) -> None:
    gateway = stage.serve(*MARKET)
    client = stage.connect(receive_buffer_bytes=4096)
    client.subscribe("bbo", "*")
    row = until(lambda: next((row for row in worker(gateway)["slowest"] if row["level"]), None))
    assert re.fullmatch(r"c-[0-9a-z]{7}-\d+", row["connection_id"])
    assert row["address"] == "127.0.0.1"
    assert re.search(r"level [123]: its oldest update waited \d+ ms", row["why"])
    assert gateway.says(
        "client.level", f"connection_id={row['connection_id']} address=127.0.0.1 level=1 was=0"
    )
    (told,) = client.next(channel="system", type="slow")["data"]
    assert (told["level"], told["was"], told["action"]) == (1, 0, "conflate")


@pytest.mark.alone
@pytest.mark.usefixtures("usual_priority")
def test_each_step_of_the_ladder_is_told_to_all_whom_it_touches(stage: Stage) -> None:
    # No delivery is as fast as that, though a single write is: overload, and a remedy to try.
    # Slow enough that nobody's buffer is full before the controller has seen enough of it.
    gateway = stage.serve(*MARKET[:2], "feeds.0.rate=2000", "slo.target_us=30")
    shown, traded = stage.connect(), stage.connect()
    traded.subscribe("trade", "SYM00*", mode="conflate")
    shown.subscribe("trade", "SYM01*", **{"class": 2})
    (result,) = shown.next(method="subscribe")["results"]
    assert (result["class"], result["mode"]) == (2, "conflate")
    (told,) = shown.next(channel="system", type="conflation")["data"]
    assert (told["class"], told["step"], told["was_ms"]) == (2, 1, 0)
    first = until(lambda: worker(gateway)["ladder"])[0]
    assert (first["step"], first["was"]) == (1, 0)
    assert first["reason"].startswith(f"class 2 to {told['interval_ms']} ms")
    assert gateway.says("ladder.step", "worker=worker-0 step=1 was=0")
    # Class 0 is never held back, and who has nothing else is not bothered.
    for _ in range(100):
        assert traded.next().get("type") != "conflation"
