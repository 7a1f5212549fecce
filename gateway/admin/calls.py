"""What operators may ask over the admin socket: one JSON object a line, and one for an answer."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.model.admin import ConnectionRow

Text = Annotated[str, Meta(max_length=256)]
ROWS_MAX: Final = 10_000


class List(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="list"):
    """Connections: those of a user, or all; so many rows at most."""

    user: Text = ""
    limit: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = 1000


class Kick(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="kick"):
    """Closes one connection by its id, or all of a user."""

    id: Text = ""
    user: Text = ""


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="revoke"):
    """Ends a token, by its id, all of a user that were given before now, or all of a key: those
    that it signed, or an API key."""

    token: Text = ""
    user: Text = ""
    key: Text = ""


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="drain"):
    """Ends the gateway, or one worker, which another takes the place of; `window_s`: over how long
    clients are asked to come back, 0: by how many they are."""

    worker: Text = ""
    window_s: Annotated[int, Meta(ge=0, le=3600)] = 0


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="reload"):
    """Reads the configuration again, as SIGHUP does."""


class LogLevel(msgspec.Struct, frozen=True, kw_only=True, tag_field="call", tag="log-level"):
    """Another level of the log, until the next reload."""

    level: Literal["debug", "info", "warning", "error"]


Call = List | Kick | Revoke | Drain | Reload | LogLevel


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer.

    Attributes:
        ok: whether it was done.
        error: why not.
        count: connections that are meant.
        rows: those that are shown.
        silent: workers that did not answer in time.
        reload: what came of a reload.
    """

    ok: bool
    error: str = ""
    count: int = 0
    rows: tuple[ConnectionRow, ...] = ()
    silent: tuple[str, ...] = ()
    reload: dict[str, Any] | None = None


_decoder: Final[msgspec.json.Decoder[Call]] = msgspec.json.Decoder(Call)


def decode(line: bytes) -> Call | str:
    """The call that a line is, or why it is none."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return str(error)[:200]
