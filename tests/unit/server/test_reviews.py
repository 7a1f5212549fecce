"""Clients with other rights take turns, one step in each iteration of the loop."""

from collections.abc import Callable

from gateway.server.reviews import Reviews


class Client:
    """Asks for so many steps."""

    def __init__(self, name: str, steps: int, site: "Site") -> None:
        self.name = name
        self.steps = steps
        self.site = site

    def review(self) -> None:
        self.site.order += self.name
        self.steps -= 1
        if self.steps:
            self.site.reviews.add(self)


class Site:
    """A loop of the test's."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.reviews = Reviews(self.later.append)
        self.order = ""

    def iterate(self) -> None:
        calls, self.later[:] = list(self.later), []
        for call in calls:
            call()


def test_each_iteration_has_one_step_of_one_client() -> None:
    site = Site()
    for name, steps in (("a", 3), ("b", 1), ("c", 2)):
        site.reviews.add(Client(name, steps, site))
    iterations = 0
    while site.later:
        before = len(site.order)
        site.iterate()
        iterations += 1
        assert len(site.order) == before + 1
    assert (site.order, iterations) == ("abcaca", 6)
    site.reviews.add(Client("d", 1, site))  # it has not fallen asleep
    site.iterate()
    assert site.order[-1] == "d"
    assert site.later == []
