"""What a worker's dialects are together: paths, formats, sessions."""

from typing import Any

import pytest
from support.raw import RAW, RAW_DIALECT, RawSession

from gateway.codec.formats import JSON, SBE
from gateway.dialects.dialect import Arrival, Dialect, Doors
from gateway.dialects.tickgate import PATH, SCHEMA_PATH, TICKGATE
from gateway.session.actions import Reply
from gateway.session.capacity import Capacity, Load
from gateway.session.options import Options, Shared

BOTH = Doors((TICKGATE, RAW_DIALECT))


def test_each_format_is_there_once_in_the_order_of_the_dialects() -> None:
    assert BOTH.formats == (JSON, SBE, RAW)
    assert Doors((RAW_DIALECT, TICKGATE)).formats == (RAW, JSON, SBE)


@pytest.mark.parametrize(
    ("path", "subprotocol", "form"),
    [
        (PATH, None, JSON),
        (PATH, "tickgate.v1.json", JSON),
        (PATH, "tickgate.v1.sbe", SBE),
        ("/raw", None, RAW),
        ("/raw/*", None, RAW),
    ],
)
def test_a_clients_format_is_chosen_by_path_and_subprotocol(
    path: str, subprotocol: str | None, form: object
) -> None:
    assert BOTH.formats[BOTH.format(path, subprotocol)] is form
    assert subprotocol is None or subprotocol in BOTH.subprotocols[path]


def test_subprotocols_are_known_at_their_path_alone() -> None:
    assert BOTH.subprotocols == {
        PATH: ("tickgate.v1.json", "tickgate.v1.sbe"),
        "/raw": (),
        "/raw/*": (),
    }


def test_ours_says_hello_and_theirs_nothing() -> None:
    shared = Shared(Options("1"), Capacity(Load, target_ns=0, enforce=False))
    catalog: Any = None
    ours, first = BOTH.open(PATH, Arrival("c-0-1", PATH, 1, 77), catalog, shared)
    (hello,) = first
    assert isinstance(hello, Reply)
    assert b'"connection_id":"c-0-1"' in hello.payload
    assert b'"now":77' in hello.payload
    assert ours.wake(5) == []
    theirs, first = BOTH.open("/raw", Arrival("c-0-2", "/raw", 1, 77), catalog, shared)
    assert isinstance(theirs, RawSession)
    assert not any(isinstance(action, Reply) for action in first)


def test_pages_are_those_of_all() -> None:
    assert BOTH.pages == TICKGATE.pages
    page = BOTH.pages[SCHEMA_PATH]()
    assert (page.result, page.type) == ("schema", "application/xml")
    assert page is BOTH.pages[SCHEMA_PATH](), "made once"


def test_two_dialects_at_one_path_are_a_mistake() -> None:
    twin = Dialect(RAW_DIALECT.paths, RAW_DIALECT.open)
    with pytest.raises(AssertionError, match="two dialects"):
        Doors((RAW_DIALECT, twin))
