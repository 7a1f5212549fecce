"""What the supervisor does with identities: entitlements told, users of the ops listener asked."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.identity import Issuer, rule, tg
from websockets.datastructures import Headers
from websockets.http11 import Request

from gateway import identities as module
from gateway.errors import ConfigurationError
from gateway.identities import Identities
from gateway.identity.keeper import Keeper
from gateway.options import AuthOptions
from gateway.wire.response import Response

OPS = tg(rule("ops", "*"))
EVERYTHING = tg(rule("*", "*"), rule("recordings", "*"))


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


class Audit:
    """Keeps what it is told."""

    def __init__(self, *, on: bool = True) -> None:
        self.on = on
        self.lines: list[tuple[str, str, str]] = []

    def grant(self, change: str, user: str, product: str, **_: Any) -> None:
        self.lines.append((change, user, product))


class Site:
    """Identities with files and a configuration of the test's."""

    def __init__(self, issuer: Issuer, *, host: str = "0.0.0.0", **options: Any) -> None:
        names = ("jwt_keys", "grants", "revoked")
        paths = {name: str(issuer.path(name)) for name in names}
        known = {name: path for name, path in paths.items() if Path(path).exists()}
        self.options = AuthOptions(**{"mode": "required", **known, **options})
        self.config: Any = SimpleNamespace(
            auth=self.options, ops=SimpleNamespace(host=host), late={"SIM": False, "LATE": True}
        )
        self.audit = Audit()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.identities = Identities(self.config, self.audit, self._count)  # type: ignore[arg-type]

    def _count(self, method: str, result: str) -> None:
        self.counts[method, result] += 1

    def ask(self, right: str, token: str = "") -> "int | str | Callable[[], str] | None":
        """The status of a refusal; or what says why a session has to end by now."""
        headers = Headers([("Authorization", f"Bearer {token}")] if token else [])
        found = self.identities.permit(Request("/x", headers, "GET"), "10.0.0.1", right)
        return found.status if isinstance(found, Response) else found

    def renew(self) -> None:
        """The files have changed, and were read."""
        self.identities.prepare(self.config)()


async def test_users_of_the_ops_listener_are_asked(issuer: Issuer) -> None:
    site = Site(issuer)
    assert site.ask("ops") == 401
    assert site.ask("ops", "a.b.c") == 401
    assert site.ask("ops", issuer.token()) == 403  # no star means it
    assert site.ask("recordings", issuer.token("a", tg=OPS)) == 403
    session = site.ask("ops", issuer.token("a", tg=OPS))
    assert callable(session)
    assert session() == ""
    assert site.counts["jwt", "ok"] == 2
    assert site.counts["jwt", "cached"] == 1
    assert site.counts["jwt", "invalid"] == site.counts["anonymous", "missing"] == 1


async def test_whose_listener_only_this_host_reaches_nobody_is_asked(issuer: Issuer) -> None:
    site = Site(issuer, host="127.0.0.1")
    assert site.ask("ops") is None
    assert site.ask("recordings", "a.b.c") is None
    assert not site.counts


async def test_who_brings_nothing_has_what_the_file_says(issuer: Issuer) -> None:
    issuer.write("grants", '[anonymous]\ngrants = [{channels=["ops"], instruments=["*"]}]\n')
    site = Site(issuer, mode="optional")
    session = site.ask("ops")
    assert callable(session)
    assert session() == ""
    assert site.ask("recordings") == 403


@pytest.mark.threat("I9")
@pytest.mark.parametrize(
    ("mine", "may"),
    [
        (EVERYTHING, True),
        (tg(rule("recordings", "*")), True),
        (tg(rule("*", "*")), False),
        (tg(rule("*", "*"), rule("recordings", "*.SIM")), False),
    ],
)
async def test_a_recording_is_for_those_to_whom_it_is_granted_by_name(
    issuer: Issuer, mine: dict[str, Any], may: bool
) -> None:
    found = Site(issuer).ask("recordings", issuer.token("a", tg=mine))
    assert callable(found) if may else found == 403


async def test_the_file_s_entry_limits_what_a_token_says_of_recordings(issuer: Issuer) -> None:
    issuer.write("grants", '[sub.a]\ngrants = [{channels=["trade"], instruments=["*"]}]\n')
    site = Site(issuer)
    assert site.ask("recordings", issuer.token("a", tg=EVERYTHING)) == 403
    assert callable(site.ask("recordings", issuer.token("b", tg=EVERYTHING)))


async def test_a_session_ends_with_its_right(issuer: Issuer) -> None:
    def grants(*channels: str) -> None:
        rules = ", ".join(f'{{channels=["{one}"], instruments=["*"]}}' for one in channels)
        issuer.write("grants", f'["*"]\ngrants = [{rules}]\n')

    grants("*", "recordings", "ops")
    issuer.write("revoked", "")
    site = Site(issuer)
    page = site.ask("ops", issuer.token("a", tg=None, jti="j"))
    download = site.ask("recordings", issuer.token("b", tg=None))
    short = site.ask("ops", issuer.token("c", tg=None, ttl_s=2))
    assert callable(page)
    assert callable(download)
    assert callable(short)
    grants("trade", "recordings", "ops")
    site.renew()
    assert (page(), short(), download()) == ("", "", "")
    grants("*", "ops")
    site.renew()
    assert download() == "recordings: not granted"
    issuer.revoke(jti="j")
    site.renew()
    assert page() == "revoked"
    with pytest.MonkeyPatch.context() as patch:
        later = time.time() + 3
        patch.setattr(module.time, "time", lambda: later)  # type: ignore[attr-defined]
        assert short() == "token expired"
    issuer.keys = Issuer(issuer.directory / "others", "ES256").keys
    issuer.write("jwt_keys", issuer.jwks())
    site.renew()
    assert short() == "revoked"  # with its key


async def test_a_file_that_is_none_stops_a_reload(issuer: Issuer) -> None:
    issuer.write("grants", '["*"]\ngrants = [{channels=["ops"], instruments=["*"]}]\n')
    site = Site(issuer)
    session = site.ask("ops", issuer.token("a", tg=None))
    assert callable(session)
    issuer.write("grants", "no toml")
    with pytest.raises(ConfigurationError) as raised:
        site.identities.prepare(site.config)
    assert raised.value.problems[0].key == "auth.grants"
    assert session() == ""
    issuer.write("grants", "")
    commit = site.identities.prepare(site.config)
    assert session() == ""  # nothing counts before it is committed
    commit()
    assert session() == "ops: not granted"


# --- revocation -----------------------------------------------------------------------------------


async def test_operators_revoke_by_lines(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Keeper] = []
    monkeypatch.setattr(Keeper, "look_soon", lambda keeper: looks.append(keeper))
    site = Site(issuer, revoked=str(issuer.path("revoked")))
    monkeypatch.setattr(module.time, "time", lambda: 1000.7)  # type: ignore[attr-defined]
    for what in (("t1", "", ""), ("", "alice", ""), ("", "", "k1")):
        assert site.identities.revoke(*what) == ""
    lines = [json.loads(one) for one in issuer.path("revoked").read_text().splitlines()]
    assert lines == [{"jti": "t1"}, {"sub": "alice", "before": 1001}, {"key": "k1"}]
    assert len(looks) == 3
    assert site.identities.revoke("x" * 129, "", "") != ""  # all of the file would be unreadable
    assert len(issuer.path("revoked").read_text().splitlines()) == 3
    nowhere = Site(issuer, revoked=str(issuer.directory / "no" / "file"))
    assert "No such file" in nowhere.identities.revoke("t", "", "")
    assert "names no file" in Site(issuer, revoked="").identities.revoke("t", "", "")
    assert len(looks) == 3


# --- the audit ------------------------------------------------------------------------------------


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Site]:
    async with site.identities:
        yield site


async def told(site: Site, count: int) -> list[tuple[str, str, str]]:
    """So many lines of the audit, and no more."""
    for _ in range(2000):
        if len(site.audit.lines) >= count:
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    lines, site.audit.lines = site.audit.lines, []
    assert len(lines) == count
    return sorted(lines)


def entries(*subs: str) -> str:
    rules = 'grants = [{channels=["trade"], instruments=["*.SIM"]}]'
    return "".join(f"[sub.{sub}]\n{rules}\n" for sub in subs)


async def test_the_audit_is_told_whom_files_entitle_and_what_changes(issuer: Issuer) -> None:
    issuer.write("grants", entries("a", "b"))
    async with running(Site(issuer)) as site:
        assert await told(site, 2) == [("given", "a", "SIM"), ("given", "b", "SIM")]
        issuer.write("grants", entries("b", "c"))
        site.renew()
        assert await told(site, 2) == [("given", "c", "SIM"), ("withdrawn", "a", "SIM")]
        site.renew()
        assert await told(site, 0) == []


async def test_many_lines_are_told_a_few_at_a_time(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINES_MAX", 10)
    monkeypatch.setattr(module, "LINES_PAUSE_S", 0.001)
    issuer.write("grants", entries(*(f"s{n}" for n in range(35))))
    site = Site(issuer)
    pauses: list[int] = []
    sleep = asyncio.sleep

    async def slept(delay_s: float) -> None:
        if delay_s == 0.001:
            pauses.append(len(site.audit.lines))
        await sleep(delay_s)

    monkeypatch.setattr(module.asyncio, "sleep", slept)  # type: ignore[attr-defined]
    async with running(site):
        assert len(await told(site, 35)) == 35
        assert pauses == [10, 20, 30]
        pauses.clear()
        issuer.write("grants", entries("s0"))
        site.renew()
        gone = await told(site, 34)
        assert {one[0] for one in gone} == {"withdrawn"}
        assert pauses == [10, 20, 30]


async def test_a_failure_of_the_audit_does_not_end_what_tells_it(issuer: Issuer) -> None:
    issuer.write("grants", entries("a"))
    site = Site(issuer)
    grant = site.audit.grant

    def fails(*_: Any, **__: Any) -> None:
        site.audit.grant = grant  # type: ignore[method-assign]
        raise RuntimeError("the first line")

    site.audit.grant = fails  # type: ignore[method-assign]
    async with running(site):
        await asyncio.sleep(0.01)
        issuer.write("grants", entries("a", "b"))
        site.renew()
        assert ("given", "b", "SIM") in await told(site, 2)


async def test_without_an_audit_nothing_is_told(issuer: Issuer) -> None:
    issuer.write("grants", entries("a"))
    site = Site(issuer)
    site.audit.on = False
    async with running(site):
        assert await told(site, 0) == []
