"""The offset between two clocks, by pings."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Offset, Ping, estimate


def ping(there_ns: int, back_ns: int, *, offset_ns: int, served_ns: int = 50) -> Ping:
    """As two clocks would stamp it, one `offset_ns` ahead of the other."""
    t0 = 1_000_000
    t1 = t0 + there_ns + offset_ns
    t2 = t1 + served_ns
    return Ping(t0, t1, t2, t2 + back_ns - offset_ns)


def test_the_fastest_ping_is_believed() -> None:
    slow = ping(9000, 1000, offset_ns=300)
    fast = ping(500, 500, offset_ns=300)
    assert estimate([slow, fast, slow]) == Offset(300, 500)
    assert estimate([slow]) == Offset(4300, 5000)


def test_nothing_is_known_of_no_ping() -> None:
    assert estimate([]) is None
    # A clock was set back by a second in the middle.
    assert estimate([ping(500, 500 - 10**9, offset_ns=0)]) is None


def test_the_time_at_the_server_is_no_part_of_the_way() -> None:
    assert estimate([ping(500, 500, offset_ns=-70, served_ns=10**9)]) == Offset(-70, 500)


ways = st.integers(0, 10**9)


@given(st.lists(st.tuples(ways, ways), min_size=1), st.integers(-(10**18), 10**18))
def test_the_error_bound_holds_whatever_the_ways_took(
    pairs: list[tuple[int, int]], offset_ns: int
) -> None:
    found = estimate([ping(there, back, offset_ns=offset_ns) for there, back in pairs])
    assert found is not None
    assert abs(found.offset_ns - offset_ns) <= found.error_ns
    assert found.error_ns == min((there + back + 1) // 2 for there, back in pairs)
