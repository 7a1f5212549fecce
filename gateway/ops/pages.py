"""The files of the dashboard, as answers: compressed, revalidated, under a strict policy.

Paths are looked up in a table that is made at the start; no path ever reaches a file system.
"""

import asyncio
import gzip
import hashlib
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from importlib import resources, util
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from websockets.datastructures import Headers

from gateway.wire.response import Response

POLICY: Final = (
    # plotly.js puts its own rules into the page, and draws heat maps as data: images.
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may do with an answer: nothing that is not from here, no code but our files."""

PLOTLY: Final = "/plotly.js"

_FILES: Final = MappingProxyType(
    {
        "/": "index.html",
        **{
            f"/{name}": name
            for name in (
                "page.css",
                "page.js",
                "charts.js",
                "feed.js",
                "history.js",
                "palette.js",
                "panels.js",
                "series.js",
                "tables.js",
                "view.js",
                "words.js",
            )
        },
    }
)
_KINDS: Final = MappingProxyType({"html": "text/html", "js": "text/javascript", "css": "text/css"})
_SECURITY: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
_REVALIDATED: Final = "no-cache"
_KEPT_A_DAY: Final = "max-age=86400"
"""For what changes with its package alone, and is as large as all else a hundred times."""


class _File(NamedTuple):
    kind: str
    cache: str
    etag: str
    body: bytes
    gzipped: bytes


class Pages:
    """Answers GET requests for the dashboard and what it is made of."""

    def __init__(self) -> None:
        static = resources.files("gateway.ops") / "static"
        self._files = {
            path: _file(name, (static / name).read_bytes()) for path, name in _FILES.items()
        }
        self._plotly: asyncio.Task[_File] | None = None

    def __contains__(self, path: str) -> bool:
        return path == PLOTLY or path in self._files

    async def answer(self, path: str, headers: Headers) -> Response | None:
        """The answer to a request with these headers; None for what is not there."""
        if path == PLOTLY:
            # Compressed once, when first asked for, and elsewhere: it takes a fifth of a second.
            self._plotly = self._plotly or asyncio.create_task(asyncio.to_thread(_plotly))
            with suppress(OSError):  # the page says that it has no charts, and has all else
                return _response(await asyncio.shield(self._plotly), headers)
            return None
        file = self._files.get(path)
        return None if file is None else _response(file, headers)


def secured(response: Response) -> Response:
    """With what every answer of the ops listener says besides its content."""
    headers = response.headers + _SECURITY
    if not any(name == "Cache-Control" for name, _ in headers):
        headers += (("Cache-Control", "no-store"),)
    return replace(response, headers=headers)


def _file(name: str, body: bytes, cache: str = _REVALIDATED) -> _File:
    kind = f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8"
    # The policy is part of what a browser keeps: another one is another file.
    etag = hashlib.sha256(POLICY.encode() + body).hexdigest()[:24]
    return _File(kind, cache, etag, body, gzip.compress(body, 6, mtime=0))


def _plotly() -> _File:
    # By its place: importing the package costs more than reading what we need of it.
    spec = util.find_spec("plotly")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package plotly is not installed")
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return _file(path.name, path.read_bytes(), cache=_KEPT_A_DAY)


def _response(file: _File, asked: Headers) -> Response:
    known = asked.get_all("If-None-Match")
    matches = any(file.etag in each for each in known)
    gzipped = any(_takes_gzip(each) for each in asked.get_all("Accept-Encoding"))
    # A weak tag: it is the same whether the body is compressed or not.
    headers = [("Cache-Control", file.cache), ("ETag", f'W/"{file.etag}"')]
    headers += [("Vary", "Accept-Encoding")]
    if matches:
        return Response(HTTPStatus.NOT_MODIFIED, headers=(*headers,))
    if gzipped:
        headers += [("Content-Encoding", "gzip")]
    body = file.gzipped if gzipped else file.body
    return Response(HTTPStatus.OK, body, file.kind, (*headers,))


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip, and not to refuse it."""
    for each in accepted.lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
