"""Identity joined with audit, operators and the ops listener: a gateway that runs, with a token's
client."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.identity import Issuer, rule, tg
from support.operated import Operated
from support.serving import Serving, serving, until
from support.wire import Wire, request, text

SMALL = ("ring.capacity_bytes=1048576", "plane.log_bytes=8388608", "recorder.enabled=false")
FEED = ("feeds.0.type=synthetic", "feeds.0.symbols=3")


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


def noted(directory: Path, event: str) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(directory.glob("*.jsonl"))]
    lines = [json.loads(line) for line in "".join(texts).splitlines()]
    return [line for line in lines if line["event"] == event]


def usage(directory: Path) -> dict[str, list[str]]:
    """Rows of this month, by user."""
    import subprocess
    import sys

    month = time.strftime("%Y-%m", time.gmtime())
    command = [sys.executable, "-P", "-m", "gateway.cli", "usage", month, "--csv"]
    done = subprocess.run(
        [*command, "--audit", str(directory)], capture_output=True, text=True, check=True
    )
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    return {row[0]: row[1:] for row in rows}


def test_usage_has_whom_files_and_tokens_entitle(tmp_path: Path) -> None:
    issuer, audit = Issuer(tmp_path), tmp_path / "audit"
    issuer.write(
        "grants",
        '[sub.idle]\nprofessional = false\ngrants = [{channels=["trade"], instruments=["*"]}]\n'
        '[sub.quiet]\ngrants = [{channels=["slo"], instruments=["*"]}]\n'
        '["*"]\ngrants = [{channels=["*"], instruments=["*.SIM"]}]\n',
    )
    sets = issuer.sets("grants")
    with serving(tmp_path / "log", *SMALL, *FEED, f"audit.path={audit}", *sets) as gateway:
        token = issuer.token()
        with Wire(gateway.url) as one, Wire(gateway.url) as two, Wire(gateway.url) as none:
            for wire in (one, two):
                wire.open(more=[bearer(token)])
            ask = {"channel": "trade", "symbol": ["*.SIM"]}
            assert one.ask({"method": "subscribe", "req_id": 1, "params": ask})["success"]
            none.send(request(more=[bearer("a.b.c")]))
            assert none.response().status == 401
            until(lambda: len(noted(audit, "auth")) == 3)
            until(lambda: {one["user"] for one in noted(audit, "grant")} == {"alice", "idle"})
    auths = [(one["user"], one["method"], one["result"]) for one in noted(audit, "auth")]
    assert auths == [*[("alice", "jwt", "ok")] * 2, ("", "jwt", "invalid")]
    found = usage(audit)
    assert set(found) == {"alice", "idle"}
    assert found["alice"][:4] == ["SIM", "yes", "yes", "no"]
    assert found["alice"][6:] == ["2", "1"]  # at once; those that asked
    assert found["idle"][:4] == ["SIM", "no", "yes", "no"]
    assert found["idle"][6:] == ["0", "0"]
    assert token not in "".join(path.read_text() for path in audit.glob("*"))


@pytest.fixture
def operated(tmp_path: Path) -> Iterator[tuple[Operated, Issuer]]:
    one, issuer = Operated(tmp_path), Issuer(tmp_path)
    paths = {name: issuer.path(name) for name in ("jwt_keys", "revoked", "grants")}
    issuer.write("grants", '["*"]\ngrants = [{channels=["*"], instruments=["*"]}]\n')
    lines = "".join(f'{name} = "{path}"\n' for name, path in paths.items())
    one.write(f'[auth]\nmode = "required"\n{lines}')
    with serving(tmp_path / "log", config=one.file) as one.gateway:
        yield one, issuer


@pytest.mark.parametrize(
    "words", [("one",), ("--user", "alice"), ("--key", "EdDSA-0")], ids=["jti", "sub", "key"]
)
def test_operators_revoke(words: tuple[str, ...], operated: tuple[Operated, Issuer]) -> None:
    one, issuer = operated
    token = issuer.token(jti="one", iat=int(time.time()) - 5)
    with Wire(one.gateway.url) as wire:
        wire.open(more=[bearer(token)])
        one.good("revoke", *words)
        assert wire.closed()[0] == 4501
    last = one.audited()[-1]
    assert (last["call"], last["ok"]) == ("revoke", True)
    changes = one.directory / "audit", "grant"
    until(lambda: [x["change"] for x in noted(*changes)][-1:] == ["withdrawn"])
    assert one.admin("revoke", "x" * 129).returncode == 1  # a line that nobody could read again
    assert one.admin("revoke", "one", "--user", "alice").returncode == 1
    with Wire(one.gateway.url) as wire:
        wire.send(request(more=[bearer(token)]))
        assert wire.response().status == 401


def test_a_reload_reads_what_identities_are_judged_by(operated: tuple[Operated, Issuer]) -> None:
    one, issuer = operated
    assert "auth: read again" in one.good("reload")
    before = one.file.read_text()
    issuer.write("grants", "[")
    one.file.write_text(before.replace("rate = 10", "rate = 10\nstale_after_s = 7"))
    refused = one.admin("reload")
    assert refused.returncode == 1
    assert "auth.grants" in refused.stderr
    entry = 'grants = [{channels=["*"], instruments=["*"]}]\n'
    issuer.write("grants", f"[sub.new]\n{entry}")
    more = before.replace('mode = "required"', 'mode = "required"\nin_band = true')
    one.file.write_text(more.replace("rate = 10", "rate = 10\nstale_after_s = 7"))
    said = one.good("reload")
    assert "stale_after_s: in force now" in said  # it was not, before
    assert "auth: read again" in said
    assert "auth.in_band: needs a restart" in said
    until(lambda: "new" in {x["user"] for x in noted(one.directory / "audit", "grant")})


# --- the ops listener -----------------------------------------------------------------------------

OPEN = ("ops.host=0.0.0.0", "ops.insecure=true")


def status(gateway: Serving, path: str, *more: tuple[str, str]) -> int:
    with Wire(gateway.ops.replace("http", "ws")) as wire:
        wire.send(request(path, more=more) if path in ("/v1", "/record") else plain(path, *more))
        return wire.response().status


def plain(path: str, *more: tuple[str, str]) -> bytes:
    heads = "".join(f"{name}: {value}\r\n" for name, value in more)
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{heads}\r\n".encode()


def test_users_of_the_ops_listener_need_a_right(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    sets = (*SMALL[:2], *FEED, *OPEN, *issuer.sets())
    with serving(tmp_path / "log", *sets) as gateway:
        anything = bearer(issuer.token())  # a star is not meant to be ops
        ops = bearer(issuer.token("eve", tg=tg(rule("ops", "*")), jti="ops"))
        recordings = bearer(issuer.token("rec", tg=tg(rule("recordings", "*"))))
        narrow = bearer(issuer.token("narrow", tg=tg(rule("recordings", "*.SIM"), rule("*", "*"))))
        for path in ("/metrics", "/statusz", "/", "/v1"):
            assert status(gateway, path) == 401
            assert status(gateway, path, bearer("a.b.c")) == 401
            assert status(gateway, path, anything) == 403
            assert status(gateway, path, recordings) == 403
            assert status(gateway, path, ops) == (101 if path == "/v1" else 200)
        record = "/record"
        assert status(gateway, record) == 401
        assert status(gateway, record, ops) == 403
        for nothing in (anything, narrow):
            assert status(gateway, record, nothing) == 403
        assert status(gateway, record, recordings) == 101
        assert status(gateway, "/livez") == 200
        with Wire(gateway.ops.replace("http", "ws")) as wire:
            wire.open(more=[ops])
            wire.send(text({"method": "ping", "req_id": 1}))
            issuer.revoke(jti="ops")
            assert wire.closed()[0] == 4501


def test_of_this_host_nobody_is_asked(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    with serving(tmp_path / "log", *SMALL, *FEED, *issuer.sets()) as gateway:
        assert status(gateway, "/statusz") == 200
