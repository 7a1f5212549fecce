"""What SIGHUP and `tickgate admin reload` do: the configuration is read again, and what can change
while clients stay, does.

A new value is in force in every process or in none. The keys of RELOADED are read by Python each
time that they are used; of the objective, the data plane is told. All others size memory, or say
what there is: addresses, processes, feeds. They keep their values until a restart, and the log and
the answer say so.
"""

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from gateway import log, tls
from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.config import Config

RELOADED: Final = (
    "audit.keep",
    "audit.max_bytes",
    "feeds.*.stale_after_s",
    "limits.close_timeout_s",
    "limits.connections_per_address",
    "limits.connects_per_address_per_s",
    "limits.control_frames_per_s",
    "limits.errors_per_minute",
    "limits.fragments_max",
    "limits.handshake_bytes",
    "limits.handshake_memory_bytes",
    "limits.handshake_timeout_s",
    "limits.handshakes_per_address",
    "limits.message_bytes",
    "limits.message_timeout_s",
    "limits.patterns_per_connection",
    "limits.ping_interval_s",
    "limits.pong_timeout_s",
    "limits.requests_burst",
    "limits.requests_per_s",
    "limits.symbols_per_request",
    "limits.tls_handshakes",
    "limits.worker_connects_per_s",
    "limits.worker_requests_per_s",
    "listen.origins",
    "log.level",
    "recorder.bytes_max",
    "recorder.directory",
    "recorder.enabled",
    "recorder.files_max",
    "recorder.min_interval_s",
    "recorder.seconds",
    "slo.display_target_us",
    "slo.percentile",
    "slo.target_us",
    "tls.cert",
    "tls.client_ca",
    "tls.key",
    "tls.names",
)
"""What takes effect without a restart; the size of a message, for messages that begin later. `*` is
each feed of which nothing else is another: feeds have no names but their places."""

_log = log.get("reload")


class Change(NamedTuple):
    """One key that differs; `reloads`: the new value takes effect without a restart."""

    key: str
    was: Any
    now: Any
    reloads: bool


def changes(old: "Config", new: "Config") -> list[Change]:
    """Every key that differs; a feed that comes, goes or becomes of another type is one key."""
    found = []
    for name in old.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, tuple):
            found += _feeds(name, before, after)
        elif name == "tls" and tls.configured(before) != tls.configured(after):
            # The listeners stay what they are: a worker that starts again must not be another.
            found += [one._replace(reloads=False) for one in _differing(name, before, after)]
        else:
            found += _differing(name, before, after)
    return found


def merged(old: "Config", new: "Config") -> "Config":
    """The old configuration with what of the new one takes effect now."""
    replaced: dict[str, Any] = {}
    for change in changes(old, new):
        if change.reloads:
            section, *index, key = change.key.split(".")
            before = replaced.get(section, getattr(old, section))
            if index:
                feeds = list(before)
                feeds[int(index[0])] = _with(feeds[int(index[0])], key, change.now)
                replaced[section] = tuple(feeds)
            else:
                replaced[section] = _with(before, key, change.now)
    return msgspec.structs.replace(old, **replaced)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, for those who asked.

    Attributes:
        changed: keys that are in force now.
        needs_restart: keys that differ and are not.
        parts: what else was read again: keys, grants, certificates.
        missed: processes that did not take it.
        problems: why nothing has changed; empty where it has.
    """

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


Prepare = Callable[["Config"], Callable[[], None]]
"""Reads what a part has in files of its own, of the configuration that will be in force, and gives
what puts that in force, which can't fail. ConfigurationError: it is bad, nothing may change."""


class Reloading:
    """Reads the configuration again when told, and says what came of it.

    Args:
        config: what is in force.
        load: reads it again; None where there is no file to read.
        apply: puts another one in force; the names of processes that did not take it. ValueError:
            why it can't, nothing has changed.

    Attributes:
        parts: what else is read again, by name. All of them are good or nothing changes, and they
            are in force before `apply` is called, each time.
    """

    def __init__(
        self,
        config: "Config",
        load: "Callable[[], Config] | None",
        apply: "Callable[[Config], Sequence[str]]",
    ) -> None:
        self.config = config
        self.parts: dict[str, Prepare] = {}
        self._load = load
        self._apply = apply

    def reload(self) -> Outcome:
        """One SIGHUP. A configuration with an error changes nothing."""
        if self._load is None:
            why = "there is no configuration file: serve --config FILE"
            _log.warning("reload.nothing", why=why)
            return Outcome(problems=(why,))
        try:
            return self._change(self._load())
        except ConfigurationError as error:
            problems = tuple(map(str, error.problems)) or (str(error),)
            for problem in problems:
                _log.error("reload.problem", problem=problem)
            _log.error("reload.refused", problems=len(problems), kept="what was in force")
            return Outcome(problems=problems)
        except ValueError as error:
            _log.error("reload.refused", problem=str(error), kept="what was in force")
            return Outcome(problems=(str(error),))

    def level(self, level: Literal["debug", "info", "warning", "error"]) -> Outcome:
        """Another least level of the log, until the next reload says otherwise."""
        log_options = msgspec.structs.replace(self.config.log, level=level)
        try:
            return self._change(msgspec.structs.replace(self.config, log=log_options), ())
        except ValueError as error:
            return Outcome(problems=(str(error),))

    def _change(self, new: "Config", parts: Collection[str] | None = None) -> Outcome:
        found = changes(self.config, new)
        now = [change for change in found if change.reloads]
        later = tuple(change.key for change in found if not change.reloads)
        both = merged(self.config, new)
        read = tuple(self.parts if parts is None else parts)
        for commit in [self.parts[name](both) for name in read]:
            commit()
        missed = tuple(self._apply(both)) if now or read else ()
        self.config = both
        for change in now:
            _log.info("reload.changed", key=change.key, was=change.was, now=change.now)
        if later:
            _log.warning("reload.needs_restart", keys=", ".join(later))
        if missed:
            _log.error("reload.missed", processes=", ".join(missed), cure="send SIGHUP again")
        words: dict[str, object] = {"parts": ", ".join(read)} if read else {}
        _log.info("reload.done", changed=len(now), needs_restart=len(later), **words)
        keys = tuple(change.key for change in now)
        return Outcome(changed=keys, needs_restart=later, parts=read, missed=missed)


def _with(options: Any, key: str, value: Any) -> Any:
    return msgspec.structs.replace(options, **{key: value})


def _differing(name: str, before: Any, after: Any, pattern: str = "") -> list[Change]:
    """`pattern` stands for the name in RELOADED."""
    pairs = ((key, getattr(before, key), getattr(after, key)) for key in before.__struct_fields__)
    return [
        Change(f"{name}.{key}", a, b, f"{pattern or name}.{key}" in RELOADED)
        for key, a, b in pairs
        if a != b
    ]


def _feeds(name: str, before: Sequence[Any], after: Sequence[Any]) -> list[Change]:
    found: list[Change] = []
    for number, (one, other) in enumerate(itertools.zip_longest(before, after)):
        key = f"{name}.{number}"
        if type(one) is not type(other):
            found.append(Change(key, one, other, reloads=False))
            continue
        differing = _differing(key, one, other, f"{name}.*")
        same = all(change.reloads for change in differing)
        found += [change._replace(reloads=same) for change in differing]
    return found
