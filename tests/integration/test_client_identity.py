"""The Python client with tokens and keys; and the walk through docs/identity.md."""

import asyncio
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.identity import Issuer
from support.serving import serving

from gateway.client import Client, ConnectFailed, Disconnected

PAGE = (Path(__file__).parents[2] / "docs/identity.md").read_text()
SECTION = PAGE.split("## In five minutes", 1)[1].split("\n## ", 1)[0]
FEED = ('feeds.0.type="synthetic"', 'feeds.0.venue="SIM"')


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.mark.alone
async def test_a_client_brings_a_fresh_token_before_the_old_one_ends(
    tmp_path: Path, issuer: Issuer
) -> None:
    asked = 0

    async def fresh() -> str:
        nonlocal asked
        asked += 1
        return issuer.token(ttl_s=3)

    with serving(tmp_path / "log", *issuer.sets(), *FEED) as gateway:
        began = time.monotonic()
        async with Client(gateway.url, token=fresh, encoding="sbe") as client:
            await client.subscribe("trade", ["*.SIM"])
            async for event in client:
                assert not isinstance(event, Disconnected)
                if time.monotonic() - began > 5:
                    break
        assert 2 <= asked <= 8


@pytest.mark.alone
async def test_a_client_whose_next_token_is_none_is_over(tmp_path: Path, issuer: Issuer) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append("x" if asked else issuer.token(ttl_s=3))
        return asked[-1]

    with serving(tmp_path / "log", *issuer.sets(), *FEED) as gateway:
        async with Client(gateway.url, token=token) as one:
            events = [event async for event in one]
    assert len(asked) == 2
    ended = [event for event in events if isinstance(event, Disconnected)]
    assert ended[-1].retry_s is None


async def test_a_client_without_what_is_asked_for(tmp_path: Path, issuer: Issuer) -> None:
    key = issuer.api_key("robot")
    issuer.write("grants", '[sub.robot]\ngrants=[{channels=["trade"], instruments=["*"]}]\n')
    sets = issuer.sets("api_keys", "grants")

    def broken() -> str:
        raise RuntimeError("the issuer is down")

    with serving(tmp_path / "log", *sets, *FEED) as gateway:
        for token, why in ((None, "401"), ("a.b.c", "401"), (broken, "issuer is down")):
            with pytest.raises(ConnectFailed, match=why) as caught:
                async with Client(gateway.url, token=token):
                    pass
            assert caught.value.retryable == (token is broken)
        async with Client(gateway.url, token=key) as client:
            (result,) = await client.subscribe("trade", ["SYM001.SIM"])
            assert result.success
            (result,) = await client.subscribe("bbo", ["SYM001.SIM"])
            assert result.error is not None
            assert result.error.code == "forbidden"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


async def test_the_walk_through_the_page(tmp_path: Path) -> None:
    tickgate = f"{sys.executable} -P -m gateway.cli"

    def run(commands: str) -> str:
        script = re.sub(r"^tickgate ", f"{tickgate} ", commands, flags=re.MULTILINE)
        done = subprocess.run(
            ["sh", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    make, issue, key, revoke = blocks("sh")
    grants, config = blocks("toml")
    (program,) = blocks("python")
    run(make)
    assert '"sub": "alice"' in run(issue)
    assert "robot" in run(key)
    (tmp_path / "grants.toml").write_text(grants)
    (tmp_path / "tickgate.toml").write_text(config)
    here = [f"auth.{name}={tmp_path / file}" for name, file in (
        ("jwt_keys", "keys.json"), ("api_keys", "apikeys.json"), ("grants", "grants.toml"),
        ("revoked", "revoked"),
    )]  # fmt: skip
    log = tmp_path / "log"
    with serving(log, *here, config=tmp_path / "tickgate.toml") as gateway:
        body = textwrap.indent(program.split("\n\n", 1)[1], "    ")
        more = "\n        async for event in client:\n            print(event, flush=True)\n"
        head = "import asyncio\nfrom gateway.client import Client\nasync def main():\n"
        script = f"{head}{body}{more}\nasyncio.run(main())"
        script = script.replace("ws://127.0.0.1:8765/v1", gateway.url)
        alice = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", script), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        assert alice.stdout is not None
        async with asyncio.timeout(60):
            while b"Trade" not in await alice.stdout.readline():
                pass
        text = (tmp_path / "robot.key").read_text().strip()
        async with Client(gateway.url, token=text) as robot:
            (result,) = await robot.subscribe("bbo", ["*.SIM"])
            assert result.success
            assert result.max_hz == 10
            name = text.split("_")[1]
            run(revoke.replace("revoke robot", f"revoke {name}"))
            async with asyncio.timeout(60):
                rest = await alice.stdout.read()
                events = [event async for event in robot]
        assert b"4501" in rest
        assert isinstance(events[-1], Disconnected)
        assert events[-1].code == 4501
        await alice.wait()
