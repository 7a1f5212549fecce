"""What the supervisor tells workers of the gateway's health: feeds, readiness, objective."""

import json
from dataclasses import replace
from typing import Any, get_args

import msgspec
import pytest
from support.reports import followed

from gateway.latency.slo import STATES
from gateway.latency.slo import State as Objective
from gateway.model.outcomes import REFUSALS, REFUSALS_ROOM
from gateway.ops import announcements
from gateway.ops.announcements import STALE_S, Announcements, Feed, overall


class Rig:
    """Announcements of a made-up gateway with two feeds, `synthetic:0` and `udp:1`."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.problems: list[str] = []
        self.objective: Objective = "ok"
        self.now_s = 0.0
        self.page = site.pages["supervisor"]
        for index in range(2):
            self.page.set("feed_up", index, 1)
        self.announcements = Announcements(
            site.subject, lambda _: self.problems, lambda: self.objective
        )

    def look(self, *, after_s: float = 0.5) -> announcements.Announcement:
        self.now_s += after_s
        return self.announcements.sample(self.now_s)


@pytest.fixture
def rig(site: Any) -> Rig:
    return Rig(site)


def feed(*, up: bool = True, stale: bool = False) -> Feed:
    return Feed("f", "SIM", up, stale)


@pytest.mark.parametrize(
    ("ready", "slo", "feeds", "state"),
    [
        (True, "ok", [], "ok"),
        (True, "ok", [feed()], "ok"),
        (True, "at_risk", [feed()], "ok"),
        (True, "breached", [feed()], "degraded"),
        (True, "infeasible", [], "degraded"),
        (True, "ok", [feed(), feed(stale=True)], "degraded"),
        (True, "ok", [feed(), feed(up=False)], "degraded"),
        (True, "ok", [feed(up=False)], "down"),
        (True, "breached", [feed(up=False), feed(up=False)], "down"),
        (False, "ok", [feed()], "down"),
        (False, "ok", [], "down"),
    ],
)
def test_the_whole_is_as_good_as_its_parts(
    ready: bool, slo: Objective, feeds: list[Feed], state: str
) -> None:
    assert overall(ready, slo, feeds) == state


def test_states_of_the_objective_are_told_as_they_are(rig: Rig) -> None:
    for state in get_args(Objective):
        assert state in STATES
        rig.objective = state
        assert rig.look().slo == state


def test_a_message_has_the_protocols_shape(rig: Rig) -> None:
    rig.site.supervision.children[0].status = followed("health")
    rig.page.set("feed_up", 1, 0)
    rig.look()
    ((name, channel, text),) = rig.site.told
    assert (name, channel) == ("worker-0", "health")
    assert json.loads(text) == {
        "state": "degraded",
        "ready": True,
        "slo": "ok",
        "feeds": [
            {"name": "synthetic:0", "venue": "SIM", "up": True, "stale": False},
            {"name": "udp:1", "venue": "UDP", "up": False, "stale": False},
        ],
    }


def test_workers_are_told_while_they_have_subscribers_and_not_otherwise(rig: Rig) -> None:
    worker = rig.site.supervision.children[0]
    rig.look()
    worker.status = followed("slo", 5)
    rig.look()
    assert rig.site.told == []
    worker.status = followed("health")
    rig.look()
    rig.look()
    worker.status = followed("health", 0)
    rig.look()
    # The same again: whoever lost the first one has the second.
    first, second = rig.site.told
    assert first == second


def test_a_feed_is_stale_once_its_records_stop(rig: Rig) -> None:
    def stale() -> list[bool]:
        return [one.stale for one in rig.look().feeds]

    for _ in range(100):  # it never had a record: it only waits
        assert stale() == [False, False]
    rig.page.add("feed_records", 0, 7)
    assert stale() == [False, False]
    rig.now_s += STALE_S
    assert stale() == [True, False]
    rig.page.add("feed_records", 0, 1)
    assert stale() == [False, False]
    rig.now_s += STALE_S
    rig.page.set("feed_up", 0, 0)
    assert stale() == [False, False], "it is down, which says more"


def test_a_feed_s_own_pace_tells_quiet_from_dead(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """One record a minute: after the first pause nothing is stale before five of them are over."""

    def record() -> bool:
        rig.page.add("feed_records", 0, 1)
        return rig.look(after_s=0).feeds[0].stale

    caplog.set_level("INFO")
    rig.look()
    assert not record()
    for _ in range(5):
        rig.now_s += 60
        assert not record()
    assert not rig.look(after_s=299).feeds[0].stale
    assert rig.look(after_s=2).feeds[0].stale
    assert not record()
    events = [record.message for record in caplog.records]
    assert events == ["feed.quiet", "feed.heard"]
    for _ in range(200):  # it speeds up: the long pauses are forgotten
        rig.now_s += 0.1
        assert not record()
    assert not rig.look(after_s=STALE_S).feeds[0].stale
    assert rig.look(after_s=1).feeds[0].stale


def test_the_configuration_says_when_a_feed_is_stale(rig: Rig) -> None:
    config = rig.site.subject.config
    feeds = (config.feeds[0], msgspec.structs.replace(config.feeds[1], stale_after_s=3))
    subject = replace(rig.site.subject, config=msgspec.structs.replace(config, feeds=feeds))
    rig.announcements = Announcements(subject, lambda _: [], lambda: "ok")
    rig.page.add("feed_records", 1, 1)
    rig.look()
    assert not rig.look(after_s=3).feeds[1].stale
    assert rig.look(after_s=0.1).feeds[1].stale
    rig.page.add("feed_records", 1, 1)  # its pace does not count
    assert not rig.look(after_s=3).feeds[1].stale
    assert rig.look(after_s=3.1).feeds[1].stale


def test_readiness_is_the_ops_listeners(rig: Rig) -> None:
    rig.problems = ["worker-0 is starting"]
    assert (rig.look().ready, rig.look().state) == (False, "down")
    rig.problems = []
    assert (rig.look().ready, rig.look().state) == (True, "ok")


def test_names_refused_for_want_of_room_degrade_it_until_there_is_room(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    most = rig.site.subject.config.ring.topics_max
    place = REFUSALS.index("topics")
    rig.page.add("feed_refused", place, 5)  # in a time before, of which nobody knows any more
    assert rig.look().state == "ok"
    rig.page.set("topics_live", 0, most - 1)
    rig.page.set("topics_retired", 0, 1)
    assert rig.look().state == "ok", "full, and all names have their topic"
    rig.page.add("feed_refused", REFUSALS_ROOM + place, 1)
    full = rig.look()
    assert full.state == "degraded"
    assert full.reasons == (f"ring.topics_max: all {most} topics are taken, new names are refused",)
    assert rig.look() == full
    rig.page.set("topics_retired", 0, 0)
    assert (rig.look().state, rig.look().reasons) == ("ok", ())
    events = [record.message for record in caplog.records if "topics." in record.message]
    assert [event.split()[0] for event in events] == ["topics.full", "topics.room"]
