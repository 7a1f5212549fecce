"""The servers of `bench/peers`: what each needs, and the command that starts it here.

All take `--port P --udp-port U`, print `ready` once clients can connect, send every line that comes
to U to every client, and end on SIGTERM: bench/peers/README.md says how each does so and why.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

BUILD_TIMEOUT_S = 300.0
"""The first build of a Go peer fetches and compiles what it is made of."""

VERSION_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Peer:
    """A server that is not ours.

    Attributes:
        name: what it is called on the command line and in the table.
        program: in `bench/peers`; a directory is a Go module.
        library: the Python package or Go module whose server it is; for nats the program.
        path: of the WebSocket URL.
        subscribe: the text with which a client asks for the ticks; "" where it needs none.
        via: how ticks get there.
    """

    name: str
    program: str
    library: str
    path: str = "/"
    subscribe: str = ""
    via: Literal["udp", "nats"] = "udp"


@dataclass(frozen=True)
class Ready:
    """It can run here: its command without the ports, and the versions for the table."""

    command: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class Absent:
    """It can't, and why."""

    reason: str


NATS_SUBJECTS: Final = "ticks."
"""What ticks are published under: this and their symbol."""

FIRST_SYMBOL: Final = "SYM000"
"""The only one of the loads here."""

PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer("picows", "picows_server.py", "picows"),
        Peer("websockets", "websockets_broadcast.py", "websockets"),
        Peer("gorilla", "gorilla", "github.com/gorilla/websocket"),
        Peer(
            "centrifuge",
            "centrifuge",
            "github.com/centrifugal/centrifuge",
            # Its pings are messages that a client must answer, unless it asks for WebSocket's own.
            path="/?cf_ws_frame_ping_pong=true",
            subscribe='{"id":1,"connect":{}}',
        ),
        Peer(
            "nats",
            "nats_server.py",
            "nats-server",
            subscribe='CONNECT {"verbose":false,"pedantic":false}\r\n'
            f"SUB {NATS_SUBJECTS}{FIRST_SYMBOL} 1\r\n",
            via="nats",
        ),
    )
}


def prepare(peer: Peer, directory: Path, into: Path) -> Ready | Absent:
    """Finds out whether a peer can run here, and builds it where it has to be built.

    Args:
        peer: which one.
        directory: `bench/peers`.
        into: where what is built goes; Go keeps a cache of its own, so it need not last.
    """
    program = directory / peer.program
    if not program.exists():
        return Absent(
            f"{program} is not there: the other servers come with a checkout of tickgate, "
            "not with its package (--directory)"
        )
    if program.is_dir():
        return _go(peer, program, into)
    if peer.via == "nats":
        return _nats(peer, program)
    if importlib.util.find_spec(peer.library) is None:
        return Absent(f"the Python package {peer.library} is not installed")
    version = f"{peer.library} {metadata.version(peer.library)}"
    return Ready((sys.executable, str(program)), version)


def _nats(peer: Peer, program: Path) -> Ready | Absent:
    if shutil.which(peer.library) is None:
        return Absent(f"{peer.library} is not installed")
    said = _run((peer.library, "--version"), program.parent, VERSION_TIMEOUT_S)
    if isinstance(said, Absent):
        return said
    return Ready((sys.executable, str(program)), said.strip().replace(": v", " "))


def _go(peer: Peer, module: Path, into: Path) -> Ready | Absent:
    if shutil.which("go") is None:
        return Absent("go is not installed")
    said = _run(("go", "env", "GOVERSION"), into, VERSION_TIMEOUT_S)
    if isinstance(said, Absent):
        return said
    has = said.strip()
    required = (module / "go.mod").read_text()
    needs = _found(r"^go ([\d.]+)$", required)
    if _numbers(has) < _numbers(needs)[:2]:
        return Absent(f"needs Go {needs}, this is {has}")
    binary = into / peer.name
    # `-mod=readonly`: what go.mod and go.sum pin, or nothing. No VCS: a copy of the tree will do.
    command = ("go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(binary), ".")
    built = _run(command, module, BUILD_TIMEOUT_S)
    if isinstance(built, Absent):
        return built
    library = "/".join(peer.library.split("/")[-2:])
    pinned = _found(rf"{re.escape(peer.library)} v(\S+)", required)
    return Ready((str(binary),), f"{library} {pinned}, {has}")


def _run(command: tuple[str, ...], directory: Path, timeout_s: float) -> str | Absent:
    """What the command says, or why it says nothing."""
    # A toolchain that go.mod asks for and that is not there is not to be fetched either.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    shown = " ".join(command[:2])
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Absent(f"{shown}: {error}")
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        return Absent(f"{shown}: {last or f'exit code {done.returncode}'}")
    return done.stdout


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1] if found else "0"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
