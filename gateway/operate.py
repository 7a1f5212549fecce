"""The commands of those who operate a gateway: `tickgate admin`, which asks one that runs on this
host over its admin socket, and `tickgate usage`, which reads the audit.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from gateway.admin import calls
from gateway.audit.table import columns, show
from gateway.config import load
from gateway.errors import ConfigurationError, Problem, ResourceError
from gateway.model.admin import ConnectionRow
from gateway.text import plain

EXIT_FAILED = 1
ANSWER_TIMEOUT_S = 15.0

ConfigFile = Annotated[Path | None, Parameter(help="The gateway's TOML file.")]
Unix = Annotated[Path | None, Parameter(help="The admin socket; without it admin.unix.")]
User = Annotated[str, Parameter(help="All of this user.")]

admin_app = App(name="admin", help="Asks a gateway that runs on this host (admin.unix).")


@admin_app.command(name="list")
def connections(
    *,
    user: User = "",
    limit: Annotated[
        int, Parameter(validator=Number(gte=1, lte=calls.ROWS_MAX), help="Rows at most.")
    ] = 1000,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="For machines.")] = False,
    unix: Unix = None,
    config: ConfigFile = None,
) -> int:
    """Shows who is connected: address, user, subscriptions, what waits for them."""
    reply = _ask(unix, config, calls.List(user=user, limit=limit))
    if as_json or not reply["ok"]:
        return _finish(reply, as_json=as_json)
    heads = [field.name for field in msgspec.structs.fields(ConnectionRow)]
    rows = [[_cell(row[name]) for name in heads] for row in reply.get("rows", ())]
    columns([heads, *rows], sys.stdout)
    print(f"{reply.get('count', 0)} connections, {len(rows)} shown")
    return _finish(reply)


@admin_app.command
def kick(
    id: Annotated[str, Parameter(help="Of the connection, such as c-k3v9x0a-17.")] = "",
    /,
    *,
    user: User = "",
    unix: Unix = None,
    config: ConfigFile = None,
) -> int:
    """Closes a connection, or all of a user, with 1008: it should not come back by itself."""
    reply = _ask(unix, config, calls.Kick(id=id, user=user))
    if reply["ok"]:
        print(f"{reply.get('count', 0)} closed")
    return _finish(reply)


@admin_app.command
def revoke(
    token: Annotated[str, Parameter(help="Its id (jti).")] = "",
    /,
    *,
    user: User = "",
    key: Annotated[str, Parameter(help="All that this key signed, or an API key, by its id.")] = "",
    unix: Unix = None,
    config: ConfigFile = None,
) -> int:
    """Ends a token, all of a user that were given before now, or all of a key."""
    return _finish(_ask(unix, config, calls.Revoke(token=token, user=user, key=key)))


@admin_app.command
def drain(
    worker: Annotated[str, Parameter(help="worker-0, for one; another takes its place.")] = "",
    /,
    *,
    window_s: Annotated[
        int,
        Parameter(
            name="--over",
            validator=Number(gte=0, lte=3600),
            help="Seconds over which clients are asked to come back; 0: by how many they are.",
        ),
    ] = 0,
    unix: Unix = None,
    config: ConfigFile = None,
) -> int:
    """Says shutdown and 1012 to all clients, each with its own time to come back; then ends."""
    return _finish(_ask(unix, config, calls.Drain(worker=worker, window_s=window_s)))


@admin_app.command
def reload(*, unix: Unix = None, config: ConfigFile = None) -> int:
    """Reads the configuration again, as SIGHUP does, and says what came of it."""
    return _finish(_ask(unix, config, calls.Reload()))


@admin_app.command(name="log-level")
def log_level(
    level: Literal["debug", "info", "warning", "error"],
    /,
    *,
    unix: Unix = None,
    config: ConfigFile = None,
) -> int:
    """Sets the least level of the log of all processes, until the next reload."""
    return _finish(_ask(unix, config, calls.LogLevel(level=level)))


def usage(
    month: Annotated[str, Parameter(help="Of UTC, such as 2026-11.")],
    /,
    *,
    config: ConfigFile = None,
    audit: Annotated[
        Path | None, Parameter(help="The audit's directory; without it audit.path.")
    ] = None,
    csv: Annotated[bool, Parameter(negative="", help="For a spreadsheet.")] = False,
) -> int:
    """Says who was entitled to what in a month, and how many sessions each had at once."""
    directory = audit or _configured(config, "audit.path", "--audit")
    return show(month, directory, sys.stdout, as_csv=csv)


def _configured(config: Path | None, key: str, option: str) -> Path:
    section, _, name = key.partition(".")
    path = getattr(getattr(load(config, os.environ), section), name)
    if not path:
        problem = Problem(key, f"found none; name it: {option} or --config")
        raise ConfigurationError("it is not known where", [problem])
    return Path(path).expanduser()


def _ask(unix: Path | None, config: Path | None, call: calls.Call) -> dict[str, Any]:
    """The answer of a gateway.

    Raises:
        ResourceError: there is none.
    """
    path = unix or _configured(config, "admin.unix", "--unix")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(ANSWER_TIMEOUT_S)
            sock.connect(str(path))
            sock.sendall(msgspec.json.encode(call) + b"\n")
            data = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    except OSError as error:
        raise ResourceError(f"no gateway answers at {path}: {error.strerror or error}") from None
    if not data:
        raise ResourceError(f"the gateway at {path} gave no answer")
    answer: dict[str, Any] = msgspec.json.decode(data)
    return answer


def _finish(reply: Mapping[str, Any], *, as_json: bool = False) -> int:
    """Says what is left to be said; the exit code."""
    if as_json:
        print(msgspec.json.encode(reply).decode())
    said: Mapping[str, Sequence[str]] = reply.get("reload", {})
    for name, words in (
        ("changed", "in force now"),
        ("parts", "read again"),
        ("needs_restart", "needs a restart"),
        ("missed", "did not take it"),
    ):
        for item in () if as_json else said.get(name, ()):
            print(f"{item}: {words}")
    for name in reply.get("silent", ()):
        print(f"tickgate: {name} did not answer", file=sys.stderr)
    if not reply["ok"]:
        print(f"tickgate: {plain(reply.get('error', 'refused'))}", file=sys.stderr)
    return 0 if reply["ok"] and not reply.get("silent") else EXIT_FAILED


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)
