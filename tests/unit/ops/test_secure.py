"""The ops listener's certificates are read again: all of them are good, or nothing changes."""

import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.certificates import Authority

from gateway.errors import ConfigurationError
from gateway.ops import http
from gateway.ops.http import OpsServer
from gateway.options import OpsOptions, TlsOptions


def subject(site: Any, files: TlsOptions) -> Any:
    site.subject.config = msgspec.structs.replace(site.subject.config, tls=files)
    return site.subject


def test_certificates_are_taken_over_once_all_is_known_to_be_good(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[ssl.SSLContext, TlsOptions]] = []
    monkeypatch.setattr(http, "renew", lambda *what: taken.append(what))
    cert, key = Authority(tmp_path).sign("server", "DNS:localhost")
    files = TlsOptions(cert=cert, key=key)
    server = OpsServer(OpsOptions(port=0), subject(site, files))
    commit = server.certificates(site.subject.config)
    assert not taken
    commit()
    assert [options for _, options in taken] == [files]
    Path(cert).write_text("nonsense")
    with pytest.raises(ConfigurationError, match=r"tls\.cert"):
        server.certificates(site.subject.config)
    server.reconfigure(site.subject.config)  # of the log's level, say: no file is read
    assert len(taken) == 1


def test_without_tls_of_its_own_there_is_nothing_to_read(site: Any) -> None:
    files = TlsOptions(cert="nowhere", key="nowhere")
    server = OpsServer(OpsOptions(port=0, tls=False), subject(site, files))
    server.certificates(site.subject.config)()
