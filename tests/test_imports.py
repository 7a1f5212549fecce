"""No circles among the modules of `gateway/`, nor among its rooms: each can be read after those
that it imports.

At run time there are none. In the second graph, which has what is imported for the type checker
alone, those named here are left; a new one fails.
"""

import pytest
from support.imports import circles, module_graph, room_graph

TYPED_CIRCLES = {
    # The rules between a scenario's keys name its structs; `from_document`, which stands beside the
    # structs since `Scenario.overridden` needs it, applies the rules.
    ("gateway.loadtest.rules", "gateway.loadtest.scenario"),
}


def test_a_circle_is_found() -> None:
    graph = {"a": "b", "b": "cd", "c": "a", "d": "e", "e": "", "f": "g", "g": "fa", "h": "a"}
    assert circles({name: frozenset(others) for name, others in graph.items()}) == [
        ("a", "b", "c"),
        ("f", "g"),
    ]


def test_the_graph_is_that_of_the_sources() -> None:
    run, typed = module_graph(types=False), module_graph(types=True)
    assert "gateway.feeds.feed" in run["gateway.feeds.udp"]
    assert "gateway.server.transport" not in run["gateway.server.connection"]
    assert "gateway.server.transport" in typed["gateway.server.connection"]
    assert "gateway.server" in room_graph(run)["gateway.process"], "where a function imports, too"
    assert all(run[name] <= typed[name] for name in run)


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(module_graph(types=False)) == []


def test_no_new_circle_among_types() -> None:
    assert {*circles(module_graph(types=True))} == TYPED_CIRCLES


@pytest.mark.parametrize("types", [False, True])
def test_no_room_imports_itself_by_way_of_others(types: bool) -> None:
    assert circles(room_graph(module_graph(types=types))) == []
