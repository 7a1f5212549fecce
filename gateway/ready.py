"""`tickgate ready`: whether a running gateway takes clients, as an exit code, for health checks."""

import ssl
import sys
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from gateway.networks import is_loopback
from gateway.text import plain

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 4096
"""Of the reasons: a listener that is none of ours may say anything."""


def ready(
    url: Annotated[
        str,
        Parameter(
            name=["--ops", "--url"],
            help="The gateway's ops listener; without http:// or https://, whichever it speaks.",
        ),
    ] = "127.0.0.1:9464",
    ca: Annotated[
        str | None, Parameter(help="Authorities that it is checked by over TLS (PEM).")
    ] = None,
    cert: Annotated[
        str | None, Parameter(help="A certificate for it, where it has tls.client_ca (PEM).")
    ] = None,
    key: Annotated[str | None, Parameter(help="That certificate's private key.")] = None,
) -> int:
    """Asks a running gateway whether it takes clients: exit code 0 or 1, and why not.

    On this host its certificate is not checked, unless --ca says by what.
    """
    try:
        status, words = ask(url, ca, cert, key)
    except (OSError, HTTPException, ValueError) as error:
        status, words = 0, f"no answer from {url}: {error}"
    if status == 200:
        return 0
    print(f"tickgate: not ready: {plain(words)}", file=sys.stderr)
    return 1


def ask(
    url: str, ca: str | None = None, cert: str | None = None, key: str | None = None
) -> tuple[int, str]:
    """Status and body of /readyz.

    Raises:
        OSError, HTTPException, ValueError: there is no such listener, or a file is none.
    """
    where = urlsplit(url if "//" in url else f"//{url}")
    host, port = where.hostname, where.port or 9464
    if not host:
        raise ValueError("no host")
    path = where.path.rstrip("/") + "/readyz"
    if where.scheme != "https":
        try:
            return _answer(HTTPConnection(host, port, timeout=TIMEOUT_S), path)
        except (BadStatusLine, ConnectionResetError):  # of a listener that speaks TLS
            if where.scheme:
                raise
    context = _context(host, ca, cert, key)
    return _answer(HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context), path)


def _context(host: str, ca: str | None, cert: str | None, key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    if ca is None and is_loopback(host):  # whoever answers there could do worse
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(cert, key, password="")
    return context


def _answer(connection: HTTPConnection, path: str) -> tuple[int, str]:
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    finally:
        connection.close()
