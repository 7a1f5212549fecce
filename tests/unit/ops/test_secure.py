"""The ops listener over TLS: files count whole or not at all, and handshakes are bounded."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import copy
from typing import Any

import msgspec
import pytest
from support.certificates import Authority
from support.soon import until

from gateway.errors import ConfigurationError
from gateway.ops import exchange
from gateway.ops.exchange import CONNECTIONS_MAX
from gateway.ops.http import OpsServer
from gateway.options import OpsOptions, TlsNameOptions, TlsOptions

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def subject(site: Any, files: TlsOptions) -> Any:
    site.subject.config = msgspec.structs.replace(site.subject.config, tls=files)
    return site.subject


def address(server: OpsServer) -> tuple[str, int]:
    return "127.0.0.1", int(server.url.rpartition(":")[2].strip("/"))


async def ask(server: OpsServer, context: ssl.SSLContext, name: str = "localhost") -> bytes:
    """All that comes until the end; b"": nothing."""
    try:
        reader, writer = await asyncio.open_connection(
            *address(server), ssl=context, server_hostname=name
        )
        writer.write(REQUEST)
        answer = await asyncio.wait_for(reader.read(), 10)
    except OSError:
        return b""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


def authorities(tmp_path: Path, names: Sequence[str]) -> list[Authority]:
    for name in names:
        (tmp_path / name).mkdir()
    return [Authority(tmp_path / name, name) for name in names]


async def test_who_is_trusted_no_more_is_let_in_no_more(site: Any, tmp_path: Path) -> None:
    one, other = authorities(tmp_path, ("one", "other"))
    cert, key = one.sign("server", "DNS:localhost")
    clients = [one.client(*each.sign("desk", "DNS:desk-7")) for each in (one, other)]
    for context in clients:
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # its session is there at once
    trusted = str(tmp_path / "trusted.crt")
    copy(one.cert, trusted)
    files = TlsOptions(cert=cert, key=key, client_ca=trusted)
    async with OpsServer(OpsOptions(port=0), subject(site, files)) as server:
        assert [b"200" in await ask(server, context) for context in clients] == [True, False]
        copy(other.cert, trusted)
        commit = server.certificates(site.subject.config)
        assert [b"200" in await ask(server, context) for context in clients] == [True, False]
        commit()
        assert [b"200" in await ask(server, context) for context in clients] == [False, True]
        copy(key, cert)  # no certificate
        with pytest.raises(ConfigurationError, match=r"tls\.cert"):
            server.certificates(site.subject.config)
        assert b"200" in await ask(server, clients[1])


async def test_a_host_of_its_own_asks_for_the_same_certificates(site: Any, tmp_path: Path) -> None:
    (authority,) = authorities(tmp_path, ("one",))
    cert, key = authority.sign("server", "DNS:localhost")
    own = authority.sign("second", "DNS:ops.test")
    second = TlsNameOptions(name="ops.test", cert=own[0], key=own[1])
    files = TlsOptions(cert=cert, key=key, client_ca=authority.cert, names=(second,))
    context = authority.client(*authority.sign("desk", "DNS:desk-7"))
    async with OpsServer(OpsOptions(port=0), subject(site, files)) as server:
        for name in ("localhost", "ops.test"):
            assert b"200" in await ask(server, context, name)
            assert not await ask(server, authority.client(), name)


async def test_an_answer_ends_the_connection(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "EXCHANGE_TIMEOUT_S", 3600.0)
    authority = Authority(tmp_path)
    cert, key = authority.sign("server", "DNS:localhost")
    async with OpsServer(
        OpsOptions(port=0), subject(site, TlsOptions(cert=cert, key=key))
    ) as server:
        assert (await ask(server, authority.client())).endswith(b"ok\n")
        await until(lambda: server.connections == 0)


@pytest.mark.threat("D13")
async def test_f57_unfinished_handshakes_are_bounded(
    site: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.sign("server", "DNS:localhost")
    files = TlsOptions(cert=cert, key=key)
    async with OpsServer(OpsOptions(port=0), subject(site, files)) as server:
        idle = [socket.create_connection(address(server)) for _ in range(CONNECTIONS_MAX)]
        await until(lambda: server.connections == CONNECTIONS_MAX)
        assert await ask(server, authority.client()) == b""
        assert server.answers["none"] == 1
        assert [record.message for record in caplog.records] == ["ops.full"]
        for each in idle[1:]:
            each.close()
        await until(lambda: server.connections == 1)
        assert b"200" in await ask(server, authority.client())
    assert idle[0].recv(1) == b""  # cut with the listener
    idle[0].close()


def test_without_tls_of_its_own_there_is_nothing_to_read(site: Any) -> None:
    files = TlsOptions(cert="nowhere", key="nowhere")
    server = OpsServer(OpsOptions(port=0, tls=False), subject(site, files))
    server.certificates(site.subject.config)()
