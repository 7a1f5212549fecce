"""The ladder's way back, as /metrics tells it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.loadtest.ladder import Ladder, steps, summed_up
from gateway.loadtest.link import Go

S = 1_000_000_000
GO = Go(at_ns=0, start_ns=S, end_ns=3 * S, until_ns=9 * S)
METRICS = b"""# HELP tickgate_ladder_step Steps of the ladder.
# TYPE tickgate_ladder_step gauge
tickgate_ladder_step{worker="worker-0"} 3.0
tickgate_ladder_step{worker="worker-1"} 0
tickgate_ladder_steps_total{worker="worker-1"} 7
"""


def test_the_steps_of_all_workers() -> None:
    assert steps(METRICS) == [3, 0]
    assert steps(b"tickgate_ladder_step 2\n") == [2]
    assert steps(b"") == []


@pytest.mark.parametrize(
    ("seen", "step_max", "back_s"),
    [
        ([(0, 0), (1, 0)], 0, 0.0),
        ([(0, 5), (1, 2), (2, 0), (3, 0)], 5, 2.0),
        ([(0, 5), (1, 0), (2, 1), (3, 0)], 5, 3.0),  # it was back, but not for good
        ([(0, 5), (1, 1)], 5, None),
    ],
)
def test_it_is_back_where_it_stays(
    seen: list[tuple[int, int]], step_max: int, back_s: float | None
) -> None:
    found = summed_up([(at * S, step) for at, step in seen])
    assert (found.step_max, found.back_s) == (step_max, back_s)


@contextmanager
def serving(texts: list[bytes]) -> Iterator[str]:
    """A listener that gives one text after the other, then an error."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if texts else 500)
            self.end_headers()
            self.wfile.write(texts.pop(0) if texts else b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_nobody_looks_before_the_window_is_over() -> None:
    with serving([METRICS, b"tickgate_ladder_step 0\n"]) as url:
        ladder = Ladder([url], GO)
        for moment in (S, 2 * S):
            ladder.look(moment)
        before = ladder.result
        for moment in (3 * S, 4 * S, 5 * S):  # the last one is not answered
            ladder.look(moment)
    assert before is None
    assert ladder.result is not None
    assert (ladder.result.step_max, ladder.result.back_s) == (3, 1.0)


def test_a_gateway_that_says_nothing_has_no_ladder() -> None:
    for ops in ([], ["http://127.0.0.1:1"]):
        ladder = Ladder(ops, GO)
        ladder.look(4 * S)
        assert ladder.result is None
