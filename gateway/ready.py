"""`tickgate ready`: whether a running gateway takes clients, as an exit code, for health checks."""

import sys
from http.client import HTTPConnection, HTTPException
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from gateway.text import plain

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 4096
"""Of the reasons: a listener that is none of ours may say anything."""


def ready(
    url: Annotated[
        str, Parameter(name=["--ops", "--url"], help="The gateway's ops listener.")
    ] = "http://127.0.0.1:9464/",
) -> int:
    """Asks a running gateway whether it takes clients: exit code 0 or 1, and why not."""
    try:
        status, words = ask(url)
    except (OSError, HTTPException, ValueError) as error:
        status, words = 0, f"no answer from {url}: {error}"
    if status == 200:
        return 0
    print(f"tickgate: not ready: {plain(words)}", file=sys.stderr)
    return 1


def ask(url: str) -> tuple[int, str]:
    """Status and body of /readyz.

    Raises:
        OSError, HTTPException, ValueError: there is no such listener.
    """
    where = urlsplit(url if "//" in url else f"//{url}")
    if not where.hostname:
        raise ValueError("no host")
    connection = HTTPConnection(where.hostname, where.port or 9464, timeout=TIMEOUT_S)
    try:
        connection.request("GET", where.path.rstrip("/") + "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    finally:
        connection.close()
