"""What the control plane counts of patterns: once for each state of the directory."""

import pytest

from gateway._native import RingWriter
from gateway.server.catalog import Catalog


@pytest.fixture
def writer() -> RingWriter:
    writer = RingWriter(1 << 12, 1024)
    for number in range(100):
        writer.topic("trade", f"{number}.SIM")
    return writer


def test_a_pattern_costs_the_plane_the_same_each_time(writer: RingWriter) -> None:
    catalog = Catalog({"SIM": None})
    assert catalog.match("trade", "*") == (0, 0)  # no segment yet
    catalog.follow(writer.fd)
    first = catalog.match("trade", "*1*.*I*")
    assert first[0] == sum("1" in str(number) for number in range(100))
    assert first[1] > 4 * 100
    assert catalog.match("trade", "*1*.*I*") == first  # the count is known, the steps are due


def test_f67_what_the_plane_does_for_a_name_is_what_is_counted(writer: RingWriter) -> None:
    catalog = Catalog({"SIM": None})
    catalog.follow(writer.fd)
    ends, letters = catalog.match("trade", "9*.SIM"), catalog.match("trade", "*Q*X*Z*")
    in_order, disordered = catalog.match("trade", "*S*I*M*"), catalog.match("trade", "*M*I*S*")
    assert (ends[1], letters[1]) == (400, 400)
    assert in_order[0] == 100
    assert disordered[0] == 0
    assert min(in_order[1], disordered[1]) >= 400 + 100 * 3  # each name is looked through
    writer.topic("trade", "Z.SIM")
    assert catalog.match("trade", "9*.SIM") == (ends[0], 404)


def test_a_closed_list_is_known_before_its_topics_are(writer: RingWriter) -> None:
    listed = {"trade": frozenset(("0.SIM", "LATER.SIM")), "health": frozenset(("LATER.SIM",))}
    catalog = Catalog({"SIM": listed, "OTHER": None})
    assert (catalog.venue("SIM"), catalog.venue("OTHER"), catalog.venue("X")) == (
        "closed",
        "open",
        "unknown",
    )
    assert catalog.listed("trade", "LATER.SIM", "SIM")
    assert catalog.listed("health", "LATER.SIM", "SIM")
    assert not catalog.listed("trade", "NEVER.SIM", "SIM")
    assert not catalog.listed("book", "LATER.SIM", "SIM")
    assert not catalog.listed("trade", "LATER.OTHER", "OTHER")
