"""Files that change, key sets that are fetched: what counts, and for how long."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.https import Answer, https
from support.identity import Issuer, rule, tg

from gateway.identity import fetch as fetching
from gateway.identity import keeper as module
from gateway.identity.authenticator import Material
from gateway.identity.entry import Entry, convert
from gateway.identity.fetch import FetchError, fetch, parts
from gateway.identity.grants import Granted
from gateway.identity.issue import generate, public
from gateway.identity.keeper import Keeper, Unreadable, load
from gateway.identity.keys import BYTES_MAX
from gateway.options import AuthOptions

URL = "https://keys.test/jwks"


def jwks(*kids: str) -> bytes:
    return json.dumps({"keys": [public(generate("EdDSA", kid)) for kid in kids]}).encode()


def test_f13_what_is_fetched_and_what_is_not(tmp_path: Path) -> None:
    good = jwks("a")
    pages: dict[str, Answer] = {
        "/good?x=1": (200, {}, good),
        "/moved": (302, {"Location": "/good?x=1"}, b""),
        "/large": (200, {}, b" " * (BYTES_MAX + 1)),
        "/broken": (500, {}, b"secret"),
    }
    with https(tmp_path, pages.__getitem__) as (port, context):
        base = f"https://localhost:{port}"
        assert fetch(f"{base}/good?x=1", private=True, context=context) == good
        for path, why in (("moved", "302"), ("large", "more than"), ("broken", "500")):
            with pytest.raises(FetchError, match=why) as caught:
                fetch(f"{base}/{path}", private=True, context=context)
            assert "secret" not in str(caught.value)
        with pytest.raises(FetchError, match="private address"):
            fetch(f"{base}/good?x=1", private=False, context=context)
        with pytest.raises(FetchError, match=r"[Cc]ertificate"):
            fetch(f"{base}/good?x=1", private=True)  # the system knows no such authority
    with pytest.raises(FetchError):
        fetch(f"{base}/good", private=True, context=context)  # nobody listens


def test_f13_a_server_that_dribbles_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WHOLE_S", 0.3)

    def slow(_: str) -> Answer:
        over.wait(60)
        return 200, {}, jwks("a")

    began, over = time.monotonic(), threading.Event()
    with https(tmp_path, slow) as (port, context):
        with pytest.raises(FetchError):
            fetch(f"https://localhost:{port}/", private=True, context=context)
        assert time.monotonic() - began < 30
        over.set()


@pytest.mark.parametrize(
    "url",
    ["http://keys.test/", "ftp://x/", "https://", "https://user@keys.test/", "https://x:99999/"],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(FetchError):
        parts(url)


class Fetching:
    """A keeper of a URL, with a clock and answers of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        self.answer: bytes | FetchError = jwks("a")
        self.fetches = 0
        self.given: list[Material] = []
        monkeypatch.setattr(module, "fetch", self.fetch)
        options = AuthOptions(mode="required", jwt_keys=URL, jwks_max_age_s=600)
        self.keeper = Keeper(options, self.given.append, lambda: self.now_s)
        assert self.keeper.material.keys is None  # nobody is let in before the first fetch

    def fetch(self, url: str, **_: Any) -> bytes:
        assert url == URL
        self.fetches += 1
        if isinstance(self.answer, FetchError):
            raise self.answer
        return self.answer

    def kids(self) -> list[str] | None:
        found = self.given[-1].keys
        return None if found is None else [kid for kid in "abc" if kid in found]


def test_f13_the_last_good_set_counts_until_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Fetching(monkeypatch)
    one.keeper.fetch_due()
    assert one.kids() == ["a"]
    good = one.answer
    for answer in (FetchError("down"), b"{", jwks("a", "a"), b"[]"):
        one.answer = answer
        one.now_s += 100
        one.keeper.fetch_due()
    assert len(one.given) == 1  # nothing has changed
    one.now_s += 201
    one.keeper.fetch_due()
    assert one.kids() is None  # 601 s after the last good one
    one.keeper.fetch_due()
    assert len(one.given) == 2
    assert isinstance(good, bytes)
    one.answer = good
    one.keeper.fetch_due()
    assert one.kids() == ["a"]
    one.answer = jwks("b")  # a key that was taken out lives on nowhere
    one.keeper.fetch_due()
    assert one.kids() == ["b"]


def test_f13_a_symmetric_key_is_not_taken_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Fetching(monkeypatch)
    one.answer = json.dumps({"keys": [generate("HS256", "a")]}).encode()
    one.keeper.fetch_due()
    assert one.given == []


def test_an_unknown_key_is_looked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the thread: at once for the first, then not before 30 s are over."""
    monkeypatch.setattr(module, "UNKNOWN_S", 0.3)
    one = Fetching(monkeypatch)
    began = threading.Event()
    one.keeper._give = lambda _material: began.set()
    one.keeper._now_s = time.monotonic
    one.keeper.start()
    assert began.wait(5)
    for _ in range(20):
        one.keeper.unknown()
        threading.Event().wait(0.05)
    one.keeper.stop()
    assert 3 <= one.fetches <= 6


# --- files ----------------------------------------------------------------------------------------


def options(issuer: Issuer, *names: str) -> AuthOptions:
    paths = {name: str(issuer.path(name)) for name in names}
    found: AuthOptions = msgspec.convert({"mode": "required", **paths}, AuthOptions)
    return found


def test_files_are_read_when_they_change(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, "EdDSA")
    issuer.api_key("robot")
    names = ("jwt_keys", "api_keys", "grants", "revoked")
    issuer.write("grants", "")
    settings = options(issuer, *names)
    material, given = load(settings), list[Material]()
    assert material.keys is not None
    assert (len(material.keys), len(material.api_keys), len(material.revoked)) == (1, 1, 0)
    keeper = Keeper(settings, given.append, lambda: 0.0)
    for name in names:
        keeper.look(name)
    assert not given
    issuer.revoke(jti="a")
    keeper.look("revoked")
    assert given[-1].revoked.has("x", "a", "", None)
    issuer.write("grants", "[sub.x]\ngrants = 5\n")
    keeper.look("grants")
    assert len(given) == 1
    issuer.write("revoked", "half")
    keeper.look("revoked")
    assert len(given) == 1
    issuer.write("api_keys.pepper", "y" * 32)  # all keys are others then
    keeper.look("api_keys")
    assert len(given) == 2


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("jwt_keys", b"{", "no JWKS"),
        ("api_keys", b'{"keys":[{"id":"a"}]}', "no list of API keys"),
        ("api_keys", b'{"keys":[]}', "pepper"),
        ("grants", b"x = 1", "x"),
        ("grants", b"[[", ""),
        ("grants", b'[sub.a]\ngrants=[{channels=["x"],instruments=["*"]}]', "no channel 'x'"),
        ("revoked", b'{"jti":"a"}\n{"jti":5}\n', "line 2"),
        ("revoked", b'{"sub":"a"}\n', "line 1"),
    ],
)
def test_a_file_that_is_none_is_named(name: str, data: bytes, why: str, tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    issuer.write("api_keys.pepper", "short" if why == "pepper" else "x" * 32)
    issuer.write(name, data)
    with pytest.raises(Unreadable, match=f"auth.{name}") as caught:
        load(options(issuer, "jwt_keys", name))
    assert why in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        load(AuthOptions(mode="required", jwt_keys=str(tmp_path / "none")))
    settings = AuthOptions(mode="optional", revoked=str(tmp_path / "none"))
    assert len(load(settings).revoked) == 0  # nobody was revoked yet


def test_what_was_revoked_outlives_its_file(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, "EdDSA")
    settings = options(issuer, "jwt_keys", "revoked")
    given = list[Material]()
    keeper = Keeper(settings, given.append, lambda: 0.0)
    issuer.revoke(jti="a")
    keeper.look("revoked")
    issuer.path("revoked").unlink()
    keeper.look("revoked")
    assert len(given) == 1
    assert keeper.material.revoked.has("x", "a", "", None)
    with pytest.raises(Unreadable, match=r"auth\.revoked: .* is gone"):
        load(settings, keeper.material)
    issuer.write("revoked", "")  # said by somebody
    keeper.look("revoked")
    assert len(given[-1].revoked) == 0


def test_grants_of_a_file(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    issuer.write(
        "grants",
        """
        [sub.alice]
        tenant = "desk"
        connections = 2
        [sub.bob]
        grants = [{channels = ["bbo"], instruments = ["*"]}]
        [tenant.desk]
        grants = [{channels = ["trade"], instruments = ["A*"]}]
        ["*"]
        grants = [{channels = ["trade"], instruments = ["*"]}]
        subscriptions = 7
        [anonymous]
        grants = []
        """,
    )
    grants = load(options(issuer, "jwt_keys", "grants")).grants

    def names(granted: Granted) -> list[list[str]]:
        return [[one.instruments[0] for one in each] for each in granted.lists]

    alice = grants.of("alice", None)
    assert (names(alice), alice.connections, alice.tenant) == ([["A*"]], 2, "desk")
    assert names(grants.of("bob", None)) == [["*"]]
    carol = grants.of("carol", None)
    assert (names(carol), carol.subscriptions) == ([["*"]], 7)
    assert names(grants.of("carol", None, "desk")) == [["A*"]]
    own = convert(tg(rule("trade", "AB*"), connections=1), Entry)
    both = grants.of("alice", own)
    assert (names(both), both.connections) == ([["AB*"], ["A*"]], 1)
    assert names(grants.anonymous()) == [[]]
    assert names(load(options(issuer, "jwt_keys")).grants.of("alice", None)) == [[]]
