"""`tickgate record` asks a running gateway for its last seconds; `tickgate explain` reads them."""

import os
from collections.abc import Generator
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import msgspec
from websockets.exceptions import ConnectionClosedOK, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from gateway.errors import TickgateError
from gateway.recorder.evidence import load
from gateway.recorder.explain import explain as judge
from gateway.recorder.stream import PATH
from gateway.recorder.words import render
from gateway.recording import CHUNK_BYTES_MAX, Reader, RecordingError

OPEN_TIMEOUT_S = 10.0
SILENCE_MAX_S = 30.0
"""Longest wait for the next part."""
HEAD_BYTES_MAX = 64


class RecordFailed(TickgateError):
    """There is no gateway, no recording, or none that can be read."""


def record(ops: str, output: Path, seconds: float | None, say: TextIO) -> int:
    """Writes the recording and says where it is.

    Raises:
        RecordFailed: the gateway or the file is not to be had; an unfinished file is deleted.
    """
    url = _url(ops, seconds)
    if os.path.exists(output) and not os.path.isfile(output):
        # A rename would put a file in the place of a device, where the user may do that.
        raise RecordFailed(f"{output}: it is there already, and no file")
    part = output.with_name(output.name + ".part")
    try:
        with open(part, "wb") as file, closing(_fetch(url)) as parts:
            file.writelines(parts)
        with open(part, "rb") as file:
            chunks = Reader(file)
            kinds = [chunk.kind for chunk in chunks]
            if chunks.problem:
                raise RecordFailed(f"{ops}: the recording was {chunks.problem}")
        os.replace(part, output)
    except (OSError, RecordingError) as error:
        raise RecordFailed(f"{output}: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    size = output.stat().st_size
    print(f"{output}: {size / 1e6:.1f} MB in {len(kinds)} chunks", file=say)
    print(f"tickgate explain {output} says what was going on", file=say)
    return 0


def explain(path: Path, say: TextIO, *, as_json: bool) -> int:
    """Prints what a recording shows.

    Raises:
        RecordFailed: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            found = judge(load(file))
    except OSError as error:
        raise RecordFailed(f"{path}: {error.strerror or error}") from None
    except RecordingError as error:
        raise RecordFailed(f"{path}: {error}") from None
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode(), file=say)
    else:
        say.write(render(found))
    return 0


def _url(ops: str, seconds: float | None) -> str:
    """The stream's URL, from the ops listener's in any form. RecordFailed."""
    try:
        parts = urlsplit(ops if "//" in ops else f"//{ops}")
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise RecordFailed(f"{ops}: {error}") from None
    if not usable:
        raise RecordFailed(f"{ops}: no address; expected http://HOST:PORT/")
    scheme = "wss" if parts.scheme in ("https", "wss") else "ws"
    query = "" if seconds is None else f"?seconds={seconds:g}"
    return f"{scheme}://{parts.netloc}{PATH}{query}"


def _loopback(host: str) -> bool:
    """Whether it is this host for sure: no proxy of the environment's leads back to it."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _fetch(url: str) -> Generator[bytes]:
    """The recording as it comes. What goes wrong with it outside is no error of the gateway's."""
    try:
        with connect(
            url,
            compression=None,
            max_size=CHUNK_BYTES_MAX + HEAD_BYTES_MAX,
            open_timeout=OPEN_TIMEOUT_S,
            proxy=None if _loopback(urlsplit(url).hostname or "") else True,
        ) as connection:
            while True:
                data = connection.recv(SILENCE_MAX_S)
                yield data if isinstance(data, bytes) else data.encode()
    except ConnectionClosedOK:
        return
    except InvalidStatus as error:
        said = (error.response.body or b"").decode("utf-8", "replace").strip()
        raise RecordFailed(f"{url}: {said or error}") from None
    except TimeoutError:
        raise RecordFailed(f"{url}: it does not answer") from None
    except (OSError, WebSocketException) as error:
        raise RecordFailed(f"{url}: {error}. Does the gateway run?") from None
