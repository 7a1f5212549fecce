"""The clocks and the scheduler's slice."""

import threading
import time

from gateway import _native


def test_the_clocks_are_the_system_s() -> None:
    before = time.monotonic_ns(), time.time_ns()
    now = _native.monotonic_ns(), _native.realtime_ns()
    after = time.monotonic_ns(), time.time_ns()
    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_asking_for_a_slice_answers_and_never_raises() -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_native.request_slice(100_000)))
    thread.start()
    thread.join()
    assert answers in ([True], [False])
