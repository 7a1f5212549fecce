"""What the configuration says of certificates, and the page of ticket keys."""

import os
from pathlib import Path

import pytest
from support.certificates import Authority

from gateway import tls
from gateway._native import (
    TLS_NAMES_MAX,
    TLS_TICKET_KEY_BYTES,
    TLS_TICKET_KEYS,
    TlsContext,
    create_memory,
    tls_missing,
)
from gateway.config import assemble, load, to_toml
from gateway.errors import ConfigurationError
from gateway.options import TlsNameOptions, TlsOptions


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> tuple[str, str]:
    return authority.sign("server", "DNS:localhost")


def told(options: TlsOptions) -> list[tuple[str, str]]:
    return [(keys[0], message) for keys, message in tls.problems(options)]


def test_numbers_are_those_of_the_core() -> None:
    assert tls.TLS_NAMES_MAX == TLS_NAMES_MAX
    assert tls.TLS_TICKET_KEY_BYTES == TLS_TICKET_KEY_BYTES
    assert tls.TLS_TICKET_KEYS == TLS_TICKET_KEYS
    assert tls_missing() == "" == tls.missing()


def test_good_files(server: tuple[str, str], authority: Authority) -> None:
    cert, key = server
    names = (TlsNameOptions(name="*.example.org", cert=cert, key=key),)
    options = TlsOptions(cert=cert, key=key, client_ca=authority.cert, names=names)
    assert told(options) == []
    assert isinstance(tls.context(options, "listen"), TlsContext)
    assert tls.context(options, "listen").expires_s > 1_700_000_000


def test_without_a_certificate_nothing_else_means_anything() -> None:
    assert told(TlsOptions()) == []
    needs = "needs tls.cert: without it there is no TLS"
    options = TlsOptions(key="k", client_ca="c", names=(TlsNameOptions(name="n", cert="", key=""),))
    assert told(options) == [("tls.key", needs), ("tls.client_ca", needs), ("tls.names", needs)]


def test_each_problem_names_its_key_the_file_and_why(
    server: tuple[str, str], authority: Authority, tmp_path: Path
) -> None:
    cert, key = server
    other, other_key = authority.sign("other", "DNS:other")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    expired, expired_key = authority.sign("expired", "DNS:x", days=-1)
    cases = [
        (TlsOptions(cert="/no", key=key), "tls.cert", "/no cannot be read: No such file"),
        (TlsOptions(cert=cert, key=str(empty)), "tls.key", f"{empty} has no private key (PEM)"),
        (TlsOptions(cert=cert, key=other_key), "tls.key", "is not the key of the certificate"),
        (TlsOptions(cert=expired, key=expired_key), "tls.cert", f"{expired} expired on 20"),
        (TlsOptions(cert=cert, key=key, client_ca=str(empty)), "tls.client_ca", "no certificate"),
        (TlsOptions(cert=cert), "tls.key", "missing; expected the private key's file"),
    ]
    for options, where, why in cases:
        ((found, message),) = told(options)
        assert found == where
        assert why in message
    named = TlsNameOptions(name="a.test", cert=other, key=key)
    good = TlsNameOptions(name="a.test", cert=other, key=other_key)
    for names, where, why in [
        ((named,), "tls.names.0.key", "is not the key"),
        ((good, good), "tls.names.1.name", 'found "a.test" again'),
        ((TlsNameOptions(name="*.*.x", cert=other, key=other_key),), "tls.names.0.name", "host's"),
        ((TlsNameOptions(name="", cert=other, key=other_key),), "tls.names.0.name", 'found ""'),
    ]:
        ((found, message),) = told(TlsOptions(cert=cert, key=key, names=names))
        assert found == where
        assert why in message
    many = tuple(TlsNameOptions(name=f"a{n}", cert=other, key=other_key) for n in range(65))
    assert told(TlsOptions(cert=cert, key=key, names=many)) == [
        ("tls.names", "found 65; expected at most 64")
    ]


def test_an_encrypted_key_is_refused_by_name(server: tuple[str, str], tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    key.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    ((where, message),) = told(TlsOptions(cert=server[0], key=str(key)))
    assert where == "tls.key"
    assert "is encrypted; expected a key without a password" in message


def test_left_out_it_is_refused_by_name(
    server: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "missing", lambda: "this was built without OpenSSL's headers")
    with pytest.raises(ConfigurationError) as refused:
        assemble({"tls": {"cert": server[0], "key": server[1]}}, {})
    (problem,) = refused.value.problems
    assert problem.key == "tls.cert"
    assert "TLS is not to be had here: this was built without OpenSSL's headers" in problem.message


def test_names_are_tables_in_toml(server: tuple[str, str], tmp_path: Path) -> None:
    cert, key = server
    names = [{"name": "a.test", "cert": cert, "key": key}]
    config = assemble({"tls": {"cert": cert, "key": key, "names": names}}, {})
    file = tmp_path / "config.toml"
    file.write_text(to_toml(config))
    assert load(file, {}) == config
    file.write_text(f'[tls]\ncert = "{cert}"\nkey = "{key}"\n[[tls.names]]\nname = "a.test"\n')
    with pytest.raises(ConfigurationError) as refused:
        load(file, {})
    missing = ["tls.names.0.cert", "tls.names.0.key"]
    assert sorted(problem.key for problem in refused.value.problems) == missing


def test_ticket_keys_turn_and_one_stays() -> None:
    fd = create_memory("tickets", tls.TICKETS_BYTES)
    assert tls.read_tickets(fd) == []
    keys = tls.TicketKeys(fd)
    (first,) = tls.read_tickets(fd)
    assert len(first) == TLS_TICKET_KEY_BYTES
    keys.rotate()
    second, stayed = tls.read_tickets(fd)
    assert stayed == first != second
    keys.rotate()
    assert tls.read_tickets(fd) == keys.keys
    assert first not in keys.keys
    # A page that is being written says nothing.
    os.pwrite(fd, (99).to_bytes(8, "little"), 0)
    assert tls.read_tickets(fd) == []
    os.close(fd)
