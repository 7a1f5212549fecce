"""How many connections an identity has, over the parts of all workers."""

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from gateway._native import create_memory
from gateway.identity import seats as module
from gateway.identity.seats import PART_BYTES, PROBES, SLOTS, Seats

WORKERS = 3


@pytest.fixture
def memory() -> Iterator[int]:
    fd = create_memory("seats", WORKERS * PART_BYTES)
    yield fd
    os.close(fd)


def test_a_count_is_of_all_workers_and_follows_who_goes(memory: int) -> None:
    chance = random.Random(3)
    parts = [Seats(memory, index, WORKERS) for index in range(WORKERS)]
    people = [f"s{n}" for n in range(200)]
    there: list[Counter[str]] = [Counter() for _ in range(WORKERS)]
    for _ in range(5000):
        index, who = chance.randrange(WORKERS), chance.choice(people)
        if there[index][who] and chance.random() < 0.5:
            there[index][who] -= 1
            parts[index].give(who)
        else:
            there[index][who] += 1
            assert parts[index].take(who) == sum(counts[who] for counts in there)
    for index, part in enumerate(parts):
        assert part.here() == +there[index]
        assert not part.full()
        part.close()


def test_who_stands_behind_others_is_found_when_they_have_gone(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"a": 7, "b": 7 + SLOTS, "c": 7 + 2 * SLOTS, "d": SLOTS - 1, "e": 2 * SLOTS - 1}
    monkeypatch.setattr(module, "_key", keys.__getitem__)
    one, other = Seats(memory, 0, WORKERS), Seats(memory, 1, WORKERS)
    for who in keys:
        assert one.take(who) == 1
    assert [other.take(who) for who in keys] == [2] * 5  # in the same slots, in another part
    one.give("a")
    assert other.take("b") == 3
    assert other.take("c") == 3
    assert one.take("a") == 2  # where it was
    one.give("a")
    one.take("c")
    one.give("b")
    one.give("c")
    assert one.take("b") == 3  # in the place of a
    assert other.take("c") == 4
    assert other.take("b") == 4
    assert other.take("a") == 2
    assert one.take("a") == 3  # not in the place where it was: that is of b now
    assert other.take("b") == 5
    assert other.take("a") == 4
    keys["f"] = 7 + 3 * SLOTS
    one.give("b")
    assert one.take("f") == 1
    assert one.take("b") == 5
    assert (other.take("f"), other.take("b")) == (2, 6)


def test_a_worker_that_has_died_counts_nothing(memory: int) -> None:
    supervisor = Seats(memory, -1, WORKERS)
    parts = [Seats(memory, index, WORKERS) for index in range(WORKERS)]
    for n in range(50):
        for part in parts:
            part.take(f"s{n}")
    supervisor.clear(1)
    again = Seats(memory, 1, WORKERS)
    assert again.take("s0") == 3
    assert parts[2].take("s1") == 3  # two here, one at the first
    assert parts[0].take("s1") == 4


def test_whom_the_table_has_no_room_for_is_counted_by_each_worker_alone(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_key", lambda who: 7 + SLOTS * int(who))
    one, other = Seats(memory, 0, WORKERS), Seats(memory, 1, WORKERS)
    for n in range(PROBES):
        assert one.take(str(n)) == 1
    assert not one.full()
    assert one.take("99") == 1
    assert one.full()
    assert other.take("99") == 1
    assert one.take("99") == 3  # it sees the other, which does not see it
    one.give("0")
    assert one.take("99") == 4  # it has a place now: both see it
    assert other.take("99") == 5
    assert not one.full()


def test_one_worker_needs_no_memory_of_others() -> None:
    alone = Seats()
    assert [alone.take("a"), alone.take("a"), alone.take("b")] == [1, 2, 1]
    alone.give("a")
    assert alone.here() == {"a": 1, "b": 1}
