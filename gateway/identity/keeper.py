"""Keeps the material fresh: looks at files twice a second, fetches a key set when that is due.

Files and fetches may wait for disks and networks, so each has a thread of its own; the loop is
given another `Material` when there is one. What can't be read, or is wrong, changes nothing but the
log: what was in force stays. A fetched set counts for `jwks_max_age_s` from its fetch on; then
there is none until the next one.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway import log
from gateway.identity import api_keys, grants, keys, revoked
from gateway.identity.api_keys import PEPPER_BYTES
from gateway.identity.authenticator import Authenticator, Material
from gateway.identity.claims import Expected
from gateway.identity.fetch import FetchError, fetch, parts

if TYPE_CHECKING:
    from gateway.options import AuthOptions

LOOK_S: Final = 0.5
"""A revocation counts within a second."""
REFRESH_S: Final = 300.0
UNKNOWN_S: Final = 30.0
"""An unknown `kid` has the set fetched again, at most so often: anybody can make one up."""
RETRY_S: Final = 10.0

_log = log.get("identity")


class Unreadable(ValueError):
    """A file that is none: its option and what is wrong."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"auth.{option}: {why}")
        self.option = option
        self.why = why


def is_url(text: str) -> bool:
    """Whether keys are fetched."""
    return "://" in text


def pepper_path(options: "AuthOptions") -> str:
    """Where the pepper of the API keys is."""
    return options.pepper or (f"{options.api_keys}.pepper" if options.api_keys else "")


def load(options: "AuthOptions", before: Material | None = None) -> Material:
    """All files, read now.

    Args:
        before: what was in force; what was revoked then must not come back with a file's loss.

    Raises:
        Unreadable: the first one that is none.
    """
    files = Files(options)
    material = Material(keys=None if is_url(options.jwt_keys) else keys.NONE)
    if before is not None:
        material = material._replace(revoked=before.revoked)
    for name in files.names:
        material = files.read(name, material)
    return material


class Files:
    """Those of a configuration, by the name of their option."""

    def __init__(self, options: "AuthOptions") -> None:
        paths = {
            "jwt_keys": "" if is_url(options.jwt_keys) else options.jwt_keys,
            "api_keys": options.api_keys,
            "grants": options.grants,
            "revoked": options.revoked,
        }
        self._paths = {name: Path(path) for name, path in paths.items() if path}
        self._pepper = Path(pepper_path(options)) if options.api_keys else None
        self.names = tuple(self._paths)

    def state(self, name: str) -> Any:
        """Another one: the file has changed."""
        found = _stat(self._paths[name])
        both = name == "api_keys" and self._pepper is not None
        return (found, _stat(self._pepper)) if both and self._pepper else found

    def read(self, name: str, material: Material) -> Material:
        """The material with what the file says now.

        Raises:
            Unreadable: why it is none.
        """
        try:
            path = self._paths[name]
            if name == "revoked" and not path.exists():
                if material.revoked:
                    raise Unreadable(name, f"{path} is gone; what it said stays in force")
                return material  # nobody was revoked yet
            data = path.read_bytes()
            if name == "jwt_keys":
                return material._replace(keys=keys.read(data, symmetric=True))
            if name == "api_keys":
                return material._replace(api_keys=api_keys.read(data, self._read_pepper()))
            if name == "grants":
                return material._replace(grants=grants.read(data))
            return material._replace(revoked=revoked.read(data))
        except Unreadable:
            raise
        except OSError as error:
            raise Unreadable(name, f"{error.filename} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise Unreadable(name, f"{self._paths[name]}: {error}") from None

    def _read_pepper(self) -> bytes:
        assert self._pepper is not None
        pepper = self._pepper.read_bytes().strip()
        if len(pepper) < PEPPER_BYTES:
            raise ValueError(f"{self._pepper}: a pepper has at least {PEPPER_BYTES} bytes")
        return pepper


def _stat(path: Path) -> Any:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino


class Keeper:
    """The threads of one worker.

    Args:
        give: takes another material, on whatever thread.
        now_s: MONOTONIC.

    Raises:
        Unreadable: a file is not what it should be.

    Attributes:
        material: what there is now.
    """

    def __init__(
        self,
        options: "AuthOptions",
        give: Callable[[Material], None],
        now_s: Callable[[], float],
    ) -> None:
        self._options = options
        self._give = give
        self._now_s = now_s
        self._files = Files(options)
        # Before they are read: what is written meanwhile is read again.
        self._states = {name: self._files.state(name) for name in self._files.names}
        self._lock = threading.Lock()
        self.material = load(options)
        self._ended = threading.Event()
        self._due = threading.Event()
        self._wanted = threading.Event()
        self._fetched_s = self._tried_s = float("-inf")
        self._threads: list[threading.Thread] = []

    def authenticator(self, count: Callable[[str, str], None]) -> Authenticator:
        """One that goes by what there is now; `count` is told how each attempt ended."""
        options = self._options
        return Authenticator(
            Expected(options.audience, options.issuer, options.max_ttl_s),
            options.typ,
            options.failures_per_minute,
            self.material,
            unknown=self.unknown,
            count=count,
        )

    def start(self) -> None:
        """Looks from now on."""
        self._threads = [threading.Thread(target=self._look, name="identity", daemon=True)]
        if is_url(self._options.jwt_keys):
            self._threads.append(threading.Thread(target=self._fetch, name="jwks", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Looks no more; a fetch under way is left to its end."""
        self._ended.set()
        self._due.set()
        self._wanted.set()

    def unknown(self) -> None:
        """Somebody brought a token of a key that there is not: there may be one by now."""
        self._wanted.set()

    # --- files ------------------------------------------------------------------------------------

    def look_soon(self) -> None:
        """Looks now, on the thread that does."""
        self._due.set()

    def _look(self) -> None:
        while not self._ended.is_set():
            self._due.wait(LOOK_S)
            self._due.clear()
            for name in () if self._ended.is_set() else self._files.names:
                self.look(name)

    def look(self, name: str) -> None:
        """Reads a file again, where it has changed."""
        state = self._files.state(name)
        if state == self._states[name]:
            return
        try:
            with self._lock:
                self.material = self._files.read(name, self.material)
                self._give(self.material)  # in the order in which they were made
        except Unreadable as error:
            self._states[name] = state
            _log.error("identity.kept", option=f"auth.{name}", problem=error.why)
            return
        # As it was before it was read: what was written meanwhile is read again.
        self._states[name] = state
        _log.info("identity.read", option=f"auth.{name}")

    # --- a key set from elsewhere -----------------------------------------------------------------

    def _fetch(self) -> None:
        while not self._ended.is_set():
            self.fetch_due()
            self._wanted.wait(self._wait_s())
            if self._wanted.is_set():
                self._ended.wait(max(0.0, self._tried_s + UNKNOWN_S - self._now_s()))
                self._wanted.clear()

    def _wait_s(self) -> float:
        fresh = self._fetched_s == self._tried_s
        due_s = self._tried_s + min(REFRESH_S if fresh else RETRY_S, self._options.jwks_max_age_s)
        return max(0.1, due_s - self._now_s())

    def fetch_due(self) -> None:
        """Fetches the set, and lets the last good one go once it is too old."""
        url = self._options.jwt_keys
        self._tried_s = now_s = self._now_s()
        try:
            found = keys.read(fetch(url, private=self._options.jwks_private), symmetric=False)
        except (FetchError, ValueError) as error:
            old = now_s - self._fetched_s > self._options.jwks_max_age_s
            _log.error("identity.not_fetched", url=_shown(url), problem=str(error), closed=old)
            if old:
                self._set_keys(None)
            return
        self._fetched_s = now_s
        self._set_keys(found)

    def _set_keys(self, found: keys.KeySet | None) -> None:
        with self._lock:
            before = self.material.keys
            same = found is not None and before is not None
            if found is before or (same and found.generation == before.generation):  # type: ignore[union-attr]
                return
            self.material = self.material._replace(keys=found)
            self._give(self.material)
        _log.info("identity.keys", count=0 if found is None else len(found))


def _shown(url: str) -> str:
    """Without a query, which may hold a secret."""
    try:
        name, port, path = parts(url)
    except FetchError:
        return "no https:// URL"
    return f"https://{name}:{port}{path.partition('?')[0]}"
