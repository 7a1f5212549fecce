"""The black box: what it holds, and that it holds no more."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.recorder.blackbox import BlackBox


def test_entries_of_a_kind_from_a_moment_on() -> None:
    box = BlackBox()
    for at_ns, kind in enumerate((b"SAMP", b"SECS", b"SAMP", b"SAMP")):
        box.add(at_ns, kind, b"%d" % at_ns)
    assert list(box.since(0, b"SAMP")) == [b"0", b"2", b"3"]
    assert list(box.since(3, b"SAMP")) == [b"3"]
    assert list(box.since(0, b"SECS")) == [b"1"]


def test_what_is_older_than_the_span_goes() -> None:
    box = BlackBox(span_ns=10)
    for at_ns in range(0, 31, 5):
        box.add(at_ns, b"SAMP", b"%d" % at_ns)
    assert list(box.since(0, b"SAMP")) == [b"20", b"25", b"30"]
    assert box.held_bytes == 6


def test_an_entry_without_room_is_dropped_alone_or_not() -> None:
    box = BlackBox(bytes_max=10)
    box.add(0, b"SAMP", b"x" * 6)
    box.add(1, b"SAMP", b"y" * 6)
    assert list(box.since(0, b"SAMP")) == [b"y" * 6]
    box.add(2, b"SAMP", b"z" * 11)
    assert (list(box.since(0, b"SAMP")), box.held_bytes) == ([], 0)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=40)), max_size=60),
    st.integers(1, 100),
    st.integers(1, 200),
)
def test_never_more_than_its_bounds(
    entries: list[tuple[int, bytes]], span_ns: int, bytes_max: int
) -> None:
    box = BlackBox(span_ns, bytes_max)
    now_ns = 0
    for step_ns, data in entries:
        now_ns += step_ns
        box.add(now_ns, b"SAMP", data)
        held = list(box.since(0, b"SAMP"))
        assert box.held_bytes == sum(map(len, held)) <= bytes_max
        assert held == list(box.since(now_ns - span_ns, b"SAMP"))
