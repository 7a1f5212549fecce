"""What SIGHUP changes, what waits for a restart, and what an error leaves alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import reload
from gateway.config import Config, assemble
from gateway.errors import ConfigurationError, Problem
from gateway.options import TlsOptions
from gateway.reload import RELOADED, Change, Outcome, Reloading, changes, merged

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"


def config(*sets: str) -> Config:
    return assemble({}, {}, sets)


def test_every_key_that_differs_is_found() -> None:
    old = config("feeds.0.type=synthetic", "log.level=debug")
    new = config(
        "feeds.0.type=synthetic", "feeds.0.rate=7", "slo.target_us=5", "ring.topics_max=999"
    )
    found = {change.key: (change.was, change.now) for change in changes(old, new)}
    assert found.keys() == {"feeds.0.rate", "log.level", "slo.target_us", "ring.topics_max"}
    assert found["log.level"] == ("debug", "info")
    assert changes(old, old) == []


def test_feeds_that_come_and_go() -> None:
    one = config("feeds.0.type=synthetic")
    assert [change.key for change in changes(one, config())] == ["feeds.0"]
    assert changes(config(), one) == [Change("feeds.0", None, one.feeds[0], reloads=False)]
    other = config("feeds.0.type=udp")
    assert [change.key for change in changes(one, other)] == ["feeds.0"]


SIM = ("feeds.0.type=synthetic", "feeds.0.venue=A")
TWO = (*SIM, "feeds.1.type=synthetic", "feeds.1.venue=B")


def test_when_a_feed_counts_as_stale_reloads() -> None:
    old, new = config(*TWO), config(*TWO, "feeds.1.stale_after_s=9")
    assert changes(old, new) == [Change("feeds.1.stale_after_s", 0, 9, reloads=True)]
    assert merged(old, new) == new


@pytest.mark.parametrize("sets", [("feeds.0.rate=7",), ("feeds.0.venue=C", "feeds.0.seed=3")])
def test_another_feed_in_its_place_has_nothing_that_reloads(sets: tuple[str, ...]) -> None:
    old, new = config(*TWO), config(*TWO, *sets, "feeds.0.stale_after_s=9")
    found = changes(old, new)
    keys = {"feeds.0.stale_after_s", *(one.partition("=")[0] for one in sets)}
    assert {change.key for change in found} == keys
    assert not any(change.reloads for change in found)
    assert merged(old, new) == old


def test_a_feed_before_it_makes_it_another() -> None:
    old = config(*SIM)
    sets = (*TWO, "feeds.0.venue=B", "feeds.0.stale_after_s=9", "feeds.1.venue=A")
    assert merged(old, config(*sets)) == old


def test_only_what_can_change_is_merged() -> None:
    new = config(
        "log.level=error", "slo.enforce=false", "limits.errors_per_minute=3", "listen.port=1"
    )
    both = merged(config(), new)
    assert (both.log.level, both.limits.errors_per_minute) == ("error", 3)
    assert (both.slo.enforce, both.listen.port) == (True, 8765)


def test_whether_there_is_tls_waits_for_a_restart() -> None:
    files = TlsOptions(cert="a", key="a", client_ca="a")
    without = config("log.level=error")
    secure = msgspec.structs.replace(config(), tls=files)
    for old, new in ((without, secure), (secure, without)):
        found = {change.key: change.reloads for change in changes(old, new)}
        assert found == {
            "tls.cert": False,
            "tls.key": False,
            "tls.client_ca": False,
            "log.level": True,
        }
        assert merged(old, new).tls == old.tls
    other = msgspec.structs.replace(secure, tls=TlsOptions(cert="b", key="b"))
    assert merged(secure, other) == other


def test_every_key_that_reloads_is_one_of_the_configuration() -> None:
    document = msgspec.to_builtins(config("feeds.0.type=udp"))
    document["feeds"] = {"*": document["feeds"][0]}
    for key in RELOADED:
        part = document
        for name in key.split("."):
            part = part[name]


@pytest.mark.parametrize("key", RELOADED)
def test_the_page_names_every_key_that_reloads(key: str) -> None:
    page = DEPLOY.read_text().partition("## What reloads")[2].partition("All else")[0]
    section, _, name = key.rpartition(".")
    assert f"`{name}`" in page or f".{name}`" in page or f"`{section}.*`" in page


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **fields: self.lines.append((f"{level} {event}", fields))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(reload, "_log", told)
    return told


def test_a_reload_says_what_it_did(told: Told) -> None:
    applied: list[Config] = []

    def apply(fresh: Config) -> Sequence[str]:
        applied.append(fresh)
        return ["worker-1"]

    new = config("log.level=error", "slo.enforce=false", "plane.wait=spin")
    Reloading(config(), lambda: new, apply).reload()
    assert [one.log.level for one in applied] == ["error"]
    assert told.events == [
        "info reload.changed",
        "warning reload.needs_restart",
        "error reload.missed",
        "info reload.done",
    ]
    assert told.lines[0][1] == {"key": "log.level", "was": "info", "now": "error"}
    assert told.lines[1][1] == {"keys": "plane.wait, slo.enforce"}
    assert told.lines[2][1]["processes"] == "worker-1"


def test_nothing_changed_is_told_too(told: Told) -> None:
    def apply(_: Config) -> Sequence[str]:
        raise AssertionError("there is nothing to apply")

    Reloading(config(), config, apply).reload()
    assert told.lines == [("info reload.done", {"changed": 0, "needs_restart": 0})]


def test_an_error_keeps_what_was_in_force(told: Told) -> None:
    loads = [lambda: config("log.level=loud", "x.y=1"), lambda: config("log.level=debug")]
    reloading = Reloading(config(), lambda: loads.pop(0)(), lambda _: ())
    reloading.reload()
    assert told.events == ["error reload.problem", "error reload.problem", "error reload.refused"]
    assert reloading.config == config()
    reloading.reload()  # and the next one is no worse for it
    assert reloading.config.log.level == "debug"


def test_what_cannot_be_applied_changes_nothing(told: Told) -> None:
    def apply(_: Config) -> Sequence[str]:
        raise ValueError("too large")

    reloading = Reloading(config(), lambda: config("log.level=debug"), apply)
    reloading.reload()
    assert told.lines[0][1]["problem"] == "too large"
    assert told.events == ["error reload.refused"]
    assert reloading.config == config()


def test_what_waits_for_a_restart_is_told_each_time(told: Told) -> None:
    reloading = Reloading(config(), lambda: config("plane.cpu=0"), lambda _: ())
    reloading.reload()
    reloading.reload()
    assert told.events.count("warning reload.needs_restart") == 2


def test_without_a_file_there_is_nothing_to_read(told: Told) -> None:
    Reloading(config(), None, lambda _: ()).reload()
    assert told.events == ["warning reload.nothing"]


# --- what came of it, parts with files of their own, the level --------------------------------


def test_what_came_of_it_is_an_answer_too(told: Told) -> None:
    new = config("log.level=error", "slo.enforce=false")
    outcome = Reloading(config(), lambda: new, lambda _: ["worker-1"]).reload()
    assert outcome == Outcome(
        changed=("log.level",), needs_restart=("slo.enforce",), missed=("worker-1",)
    )
    refused = Reloading(config(), lambda: config("log.level=loud"), lambda _: ()).reload()
    assert refused.changed == ()
    assert "log.level" in refused.problems[0]
    assert "no configuration file" in Reloading(config(), None, lambda _: ()).reload().problems[0]


class Part:
    """Keys, or certificates: read from a file of its own."""

    def __init__(self, *, bad: bool = False) -> None:
        self.bad = bad
        self.log: list[str] = []

    def prepare(self, fresh: Config) -> Callable[[], None]:
        self.log.append(f"prepare {fresh.log.level}")
        if self.bad:
            raise ConfigurationError("it is bad", [Problem("tls.cert", "it is bad")])
        return lambda: self.log.append("commit")


def test_parts_are_read_again_even_where_no_key_differs(told: Told) -> None:
    part, applied = Part(), 0

    def apply(_: Config) -> Sequence[str]:
        nonlocal applied
        applied += 1
        assert part.log[-1] == "commit"
        return ()

    reloading = Reloading(config(), config, apply)
    reloading.parts["keys"] = part.prepare
    assert reloading.reload() == Outcome(parts=("keys",))
    assert (part.log, applied) == (["prepare info", "commit"], 1)


def test_one_bad_part_changes_nothing(told: Told) -> None:
    good, bad = Part(), Part(bad=True)
    reloading = Reloading(config(), lambda: config("log.level=debug"), lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    reloading.parts |= {"keys": good.prepare, "certificates": bad.prepare}
    outcome = reloading.reload()
    assert outcome == Outcome(problems=("tls.cert: it is bad",))
    assert good.log == ["prepare debug"], "it is never in force"
    assert reloading.config == config()
    assert told.events == ["error reload.problem", "error reload.refused"]


def test_the_level_alone_is_set_until_the_next_reload(told: Told) -> None:
    part, applied = Part(), []

    def apply(fresh: Config) -> Sequence[str]:
        applied.append(fresh.log.level)
        return ()

    reloading = Reloading(config(), config, apply)
    reloading.parts["keys"] = part.prepare
    assert reloading.level("debug").changed == ("log.level",)
    assert part.log == []
    assert reloading.reload().changed == ("log.level",)
    assert applied == ["debug", "info"]
