"""What the supervisor does with identities; each worker's clients have a gate of their own.

It reads the same files: it tells the audit whom they entitle, asks users of the ops listener for
a token where other hosts reach that, ends tokens for operators, and has part in each reload.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from websockets.http11 import Request

from gateway import log
from gateway.errors import ConfigurationError, Problem
from gateway.identity import revoked
from gateway.identity.authenticator import Identity, Material, Refused
from gateway.identity.credentials import judged, refusal
from gateway.identity.entitled import Entitlements, standing
from gateway.identity.grants import own_granted
from gateway.identity.keeper import Keeper, Unreadable, is_url, load
from gateway.networks import is_loopback
from gateway.wire.response import Response
from gateway.wire.response import refusal as answer

if TYPE_CHECKING:
    from gateway.audit.audit import Audit
    from gateway.config import Config
    from gateway.options import AuthOptions

STEP_NS: Final = 200_000
LINES_MAX: Final = 256
"""Of the audit, at once: its queue is as long as it is."""
LINES_PAUSE_S: Final = 0.05
RECORDINGS: Final = "recordings"
"""The right to what has records of all topics: none of these is asked about by itself."""

_log = log.get("identity")


class Identities:
    """Keeps itself fresh while its context lasts.

    Args:
        config: with another mode of `auth` than `none`.
        audit: the supervisor's.
        count: told how each attempt ended: method and result.

    Raises:
        ValueError: a file is not what it should be.
    """

    def __init__(self, config: "Config", audit: "Audit", count: Callable[[str, str], None]) -> None:
        self._options = options = config.auth
        self._audit = audit
        self._asks = not is_loopback(config.ops.host)
        self._loop = asyncio.get_running_loop()
        self._keeper = Keeper(options, self._given, time.monotonic)
        self._authenticator = self._keeper.authenticator(count)
        self._entitlements = Entitlements(audit, config.late)
        self._changed = asyncio.Event()
        self._changed.set()
        self._telling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Identities":
        self._keeper.start()
        if self._audit.on:
            self._telling = asyncio.create_task(self._tell())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keeper.stop()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)

    # --- changes ----------------------------------------------------------------------------------

    def _given(self, material: Material) -> None:
        """On a thread of the keeper's."""
        with suppress(RuntimeError):  # the loop is over
            self._loop.call_soon_threadsafe(self._renew, material)

    def _renew(self, material: Material) -> None:
        self._authenticator.material = material
        self._changed.set()

    def prepare(self, config: "Config") -> Callable[[], None]:
        """The files, read again; the workers are told to look by the reload itself.

        Raises:
            ConfigurationError: one of them is none.
        """
        options: AuthOptions = config.auth
        try:
            found = load(options, self._authenticator.material)
        except Unreadable as error:
            problem = Problem(f"auth.{error.option}", error.why)
            raise ConfigurationError("the configuration has an error", [problem]) from None

        def commit() -> None:
            keys = self._authenticator.material.keys
            self._renew(found._replace(keys=keys) if is_url(options.jwt_keys) else found)
            self._keeper.look_soon()

        return commit

    def revoke(self, token: str, user: str, key: str) -> str:
        """Ends one token, all of a user that were given before now, or all of a key; why not, or
        "". It waits for the disk."""
        if not self._options.revoked:
            return "auth.revoked names no file to write it to"
        before = int(time.time()) + 1 if user else None
        path = Path(self._options.revoked)
        try:
            one = revoked.Revocation(
                jti=token or None, sub=user or None, key=key or None, before=before
            )
            revoked.add(path, one)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            return f"{path} (auth.revoked): {why or error}"
        self._keeper.look_soon()
        return ""

    # --- the audit --------------------------------------------------------------------------------

    async def _tell(self) -> None:
        """Whom the files entitle to what, whenever they say something else."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._tell_all(self._authenticator.material)
            except Exception:  # the next change must not be lost with it
                _log.exception("entitled.failed")

    async def _tell_all(self, material: Material) -> None:
        gone = dict.fromkeys(self._entitlements.users)
        lines, until_ns = 0, time.monotonic_ns() + STEP_NS
        for user, terms in standing(self._entitlements, material):
            gone.pop(user, None)
            lines += self._entitlements.put(user, terms)
            if lines >= LINES_MAX or time.monotonic_ns() >= until_ns:
                await asyncio.sleep(LINES_PAUSE_S if lines >= LINES_MAX else 0)
                lines = lines % LINES_MAX
                until_ns = time.monotonic_ns() + STEP_NS
        for user in gone:
            lines += self._entitlements.put(user, {})
            if lines >= LINES_MAX:
                await asyncio.sleep(LINES_PAUSE_S)
                lines = 0

    # --- the ops listener -------------------------------------------------------------------------

    def permit(
        self, request: Request, peer: str, right: str
    ) -> Response | Callable[[], str] | None:
        """Whether somebody may use the ops listener.

        Args:
            right: `ops`, or `recordings`.

        Returns:
            Why not; or what says why a session has to end by now (empty: it may go on); None:
            nobody is asked.
        """
        if not self._asks:
            return None
        judge = self._authenticator
        mono_ns, real_s = time.monotonic_ns(), time.time()
        outcome = judged(judge, request.headers, peer, mono_ns=mono_ns, real_s=real_s)
        if outcome is None:
            optional = self._options.mode == "optional"
            outcome = judge.anonymous() if optional else judge.missing()
        if isinstance(outcome, Refused):
            _log.info("ops.refused", peer=peer, result=outcome.result, why=outcome.detail)
            return refusal(outcome)
        identity = outcome
        if why := self._ended(identity, right):
            _log.info("ops.refused", peer=peer, user=identity.sub, why=why)
            return answer(403, "forbidden", why)
        return lambda: self._ended(identity, right)

    def _ended(self, identity: Identity, right: str) -> str:
        judge = self._authenticator
        if identity.expires_s is not None and identity.expires_s <= time.time():
            return "token expired"
        if judge.withdrawn(identity) or judge.key_gone(identity):
            return "revoked"
        granted = judge.granted(identity)
        if not own_granted(granted, right):
            return f"{right}: not granted"
        return ""
