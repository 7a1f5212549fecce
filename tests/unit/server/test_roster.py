"""What operators are told of clients, and that they can close some, a part in each iteration."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.model.admin import Answer, Ask, ConnectionRow
from gateway.server.roster import LOOKED_PER_TURN, Roster

NOW = 10_000_000_000


class Client:
    """Stands for a connection."""

    close_code = 0
    subscriptions = 3

    def __init__(self, number: int, user: str, fd: int) -> None:
        self.handle = number
        self.name = f"c-x-{number}"
        self.peer = "192.0.2.1"
        self.user = user
        self.fd = fd

    def fail(self, code: int, _: str) -> None:
        self.close_code = code


class Plane:
    """Client 1 waits for 5 s."""

    def pending(self, handle: int) -> bool:
        return handle == 1

    def sent_ns(self, _: int) -> int:
        return NOW - 5_000_000_000


@pytest.fixture
def fd() -> Iterator[int]:
    ours, theirs = socket.socketpair()
    yield ours.fileno()
    ours.close()
    theirs.close()


def asked(clients: dict[int, Client], **ask: Any) -> list[Answer]:
    said: list[Answer] = []

    async def say(answer: Answer) -> None:
        said.append(answer)

    roster = Roster(clients, Plane(), lambda: NOW)  # type: ignore[arg-type]
    asyncio.run(roster.answer(Ask(token=7, **ask), say))
    assert {answer.token for answer in said} == {7}
    assert [answer.last for answer in said] == [False] * (len(said) - 1) + [True]
    return said


def clients(count: int, fd: int) -> dict[int, Client]:
    return {n: Client(n, "ann" if n % 2 else "bob", fd) for n in range(count)}


def test_a_row_says_who_where_and_how_far_behind(fd: int) -> None:
    (answer,) = asked(clients(2, fd), call="list", limit=9)
    first, second = answer.rows
    assert (first.lag_ms, second.lag_ms) == (0, 5000)
    assert second == ConnectionRow(
        id="c-x-1",
        address="192.0.2.1",
        user="ann",
        subscriptions=3,
        pending_bytes=0,
        lag_ms=5000.0,
    )


def test_without_clients_there_is_an_answer() -> None:
    (answer,) = asked({}, call="list", limit=9)
    assert (answer.rows, answer.count) == ((), 0)


def test_many_are_listed_in_parts_up_to_the_limit(fd: int) -> None:
    many = clients(2 * LOOKED_PER_TURN + 10, fd)
    many[3].close_code = 1000
    answers = asked(many, call="list", user="ann", limit=LOOKED_PER_TURN)
    assert len(answers) == 3
    rows = [row for answer in answers for row in answer.rows]
    assert len(rows) == LOOKED_PER_TURN
    assert {row.user for row in rows} == {"ann"}
    assert sum(answer.count for answer in answers) == LOOKED_PER_TURN + 5 - 1
    assert len(asked(many, call="list", limit=1)[0].rows) == 1


def test_one_is_closed_by_its_id_and_all_of_a_user(fd: int) -> None:
    some = clients(10, fd)
    assert sum(one.count for one in asked(some, call="kick", id="c-x-4")) == 1
    assert [one.close_code for one in some.values()] == [0] * 4 + [1008] + [0] * 5
    assert sum(one.count for one in asked(some, call="kick", user="bob")) == 4
    assert [one.close_code for one in some.values()] == [1008, 0] * 5
    assert sum(one.count for one in asked(some, call="kick", user="eve")) == 0


def test_the_loop_goes_on_meanwhile_and_the_gone_are_passed_over(fd: int) -> None:
    many = clients(3 * LOOKED_PER_TURN, fd)
    turns = 0
    said: list[Answer] = []

    async def say(answer: Answer) -> None:
        said.append(answer)

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            for handle in list(many)[-5:]:
                del many[handle]
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(beside())
        roster = Roster(many, Plane(), lambda: NOW)  # type: ignore[arg-type]
        await roster.answer(Ask(token=1, call="list", limit=10_000), say)
        other.cancel()

    asyncio.run(both())
    assert turns >= 2
    assert 0 < sum(len(one.rows) for one in said) < 3 * LOOKED_PER_TURN
