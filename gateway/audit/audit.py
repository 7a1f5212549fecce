"""Who did what, for auditors: one JSON line an event, in files that are rotated by size.

A process has files of its own in the directory, `worker-0.jsonl` and older ones beside it,
`worker-0.<REALTIME ns>.jsonl`. Each line has `ts` (REALTIME ns), `process` and `event`; the rest
are the fields that the functions here name, and never what a client sent or a token: no payload,
query string, header or close reason.

`note` puts an event into a bounded queue and never waits; a thread encodes and writes. What finds
no room in the queue or on the disk is lost, and never silently: it is counted
(`tickgate_audit_lost_total`), the log says it once when it begins and once when it is over, and the
next line that is written is `lost`, with how many. Refusals, which strangers cause, are at most
REFUSALS_PER_S lines a second, so that nobody turns the files over with them; the next one has the
number of those left out as `more`.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from gateway import log
from gateway.options import AuditOptions

QUEUE_EVENTS_MAX: Final = 16_384
"""Some 3 s of 5,000 clients that come back at once."""
BATCH_MAX: Final = 256
"""Lines of one write."""
RETRY_S: Final = 1.0
"""After a write that failed: meanwhile events wait in the queue."""
REFUSALS_PER_S: Final = 50
VALUE_CHARS_MAX: Final = 256
SYMBOLS_MAX: Final = 1000
"""Names of one `subscribe` line; more than a request may have (limits.symbols_per_request) by
default."""
SECOND_NS: Final = 1_000_000_000
SUFFIX: Final = ".jsonl"
OFF: Final = AuditOptions()
"""Without a path there is no audit."""

_encoder: Final = msgspec.json.Encoder()
_log = log.get("audit")


class Note(NamedTuple):
    """One event, as it waits to be written."""

    ts: int
    event: str
    fields: Mapping[str, Any]


class Client(Protocol):
    """What is said of a connection: its id, where it is, who it is once that is known."""

    name: str
    peer: str

    @property
    def user(self) -> str: ...


class Audit:
    """One process's; without a path it does nothing.

    Args:
        process: its name.
        options: where its files are, how large one may be, how many older ones are kept.
        count: counts, as a statistics page does: `audit_lines` and `audit_lost`, index, number.
        real_ns: REALTIME, now.
    """

    def __init__(
        self,
        process: str,
        options: AuditOptions = OFF,
        *,
        count: Callable[[str, int, int], object] = lambda *_: None,
        real_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.on = bool(options.path)
        self._real_ns = real_ns
        self._count = count
        self._queue: queue.Queue[Note | None] = queue.Queue(QUEUE_EVENTS_MAX)
        self._full = 0  # events that found no room in the queue
        self._refusals = [0, 0, 0]  # second, lines in it, left out since the last line
        if self.on:
            self._file = _File(process, options, real_ns)
            self._writer = threading.Thread(target=self._run, name="audit", daemon=True)
            self._writer.start()
            self.note("start")

    def reconfigure(self, options: AuditOptions) -> None:
        """Of the next rotation."""
        if self.on:
            self._file.max_bytes, self._file.keep = options.max_bytes, options.keep

    def close(self, timeout_s: float = 2.0) -> None:
        """Writes what is queued, where that can be done in time."""
        if not self.on:
            return
        self.note("stop")
        self.on = False
        with suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        self._writer.join(timeout_s)

    # --- what there is to be said -----------------------------------------------------------------

    def note(self, event: str, **fields: object) -> None:
        """One event."""
        if not self.on:
            return
        try:
            self._queue.put_nowait(Note(self._real_ns(), event, fields))
        except queue.Full:
            self._full += 1
            self._count("audit_lost", 0, 1)

    def connect(self, client: Client, path: str) -> None:
        """A client is let in."""
        if self.on:
            self.note("connect", **_who(client), path=path)

    def auth(self, client: Client, method: str, result: str) -> None:
        """Somebody said who they are: how, and what came of it. The client has its identity then.

        Args:
            client: it.
            method: jwt, api_key, certificate.
            result: ok, or why not, in a word.
        """
        if self.on and result == "ok":
            self.note("auth", **_who(client), method=method, result=result)
        elif self.on:
            self._stranger("auth", client, method=method, result=result)

    def grant(
        self,
        change: str,
        user: str,
        product: str,
        *,
        professional: bool,
        display: bool,
        delayed: bool,
        since_ns: int,
        until_ns: int = 0,
    ) -> None:
        """What somebody is entitled to; at the start of the gateway, once for each that there is.

        Args:
            change: given, changed or withdrawn.
            user: the identity.
            product: what exchanges license: a venue, or its delayed form.
            professional, display, delayed: as the exchanges ask.
            since_ns, until_ns: REALTIME, from when to when; 0: without an end.
        """
        if self.on:
            terms = {"professional": professional, "display": display, "delayed": delayed}
            dates = {"from": since_ns, "to": until_ns}
            self.note("grant", change=change, user=user, product=product, **terms, **dates)

    def subscribe(self, client: Client, names: Iterable[tuple[str, str]]) -> None:
        """A client asks for (channel, name or pattern)."""
        symbols: dict[str, list[str]] = {}
        count = 0
        for channel, name in names:
            count += 1
            if count <= SYMBOLS_MAX:
                symbols.setdefault(channel, []).append(name)
        self.note("subscribe", **_who(client), symbols=symbols, count=count)

    def refusal(self, client: Client, result: str) -> None:
        """Somebody was not let in."""
        if self.on:
            self._stranger("refusal", client, result=result)

    def _stranger(self, event: str, client: Client, **fields: str) -> None:
        """What anybody can cause, and so is not all written."""
        second = self._real_ns() // SECOND_NS
        if second != self._refusals[0]:
            self._refusals[:2] = second, 0
        if self._refusals[1] >= REFUSALS_PER_S:
            self._refusals[2] += 1
            return
        self._refusals[1] += 1
        more, self._refusals[2] = self._refusals[2], 0
        self.note(event, **_who(client), **fields, more=more)

    def end(self, client: Client, code: int, reason: str) -> None:
        """A client is gone."""
        if self.on:
            self.note("close", **_who(client), code=code, reason=reason)

    # --- the writer's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        unsaid = 0  # lines that are lost, and that no line says yet
        full = 0  # of the queue's losses, those that are in it
        failing = over = False
        while not over:
            batch, over = self._batch()
            unsaid, full = unsaid + self._full - full, self._full
            head = [Note(self._real_ns(), "lost", {"count": unsaid})] if unsaid else []
            done, error = self._file.write([*head, *batch])
            if head and done:
                _log.error("audit.lost", lines=unsaid, what="the files say so, too")
                unsaid = 0
            missing = len(batch) - max(done - len(head), 0)
            self._count("audit_lines", 0, done)
            if error is not None:
                unsaid += missing
                self._count("audit_lost", 0, missing)
                if not failing:
                    _log.error("audit.failed", error=str(error), lost=missing)
                if not over:
                    time.sleep(RETRY_S)
            elif failing:
                _log.info("audit.resumed")
            failing = error is not None

    def _batch(self) -> tuple[list[Note], bool]:
        """What waits; whether it is the last of all."""
        notes = [self._queue.get()]
        with suppress(queue.Empty):
            while len(notes) < BATCH_MAX and notes[-1] is not None:
                notes.append(self._queue.get_nowait())
        return [one for one in notes if one is not None], notes[-1] is None


class _File:
    """The newest file, which becomes an older one when it is large enough."""

    def __init__(self, process: str, options: AuditOptions, real_ns: Callable[[], int]) -> None:
        self.max_bytes = options.max_bytes
        self.keep = options.keep
        self._directory = Path(options.path).expanduser()
        self._process = process
        self._real_ns = real_ns
        self._path = self._directory / f"{process}{SUFFIX}"
        self._fd = -1
        self._size = 0
        self._torn = False

    def write(self, notes: Iterable[Note]) -> tuple[int, OSError | None]:
        """Appends lines; how many are there, and why not all of them are."""
        data = b"".join(self._line(one) for one in notes)
        written = 0
        try:
            if self._fd < 0:
                self._open()
            if self._size and self._size + len(data) > self.max_bytes:
                self._rotate()
            if self._torn:  # what an earlier write left of a line ends there
                self._size += os.write(self._fd, b"\n")
                self._torn = False
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._torn = self._torn or (written > 0 and not data[:written].endswith(b"\n"))
            return data[:written].count(b"\n"), error
        finally:
            self._size += written
        return data.count(b"\n"), None

    def _line(self, note: Note) -> bytes:
        fields = {key: _cut(value) for key, value in note.fields.items()}
        head = {"ts": note.ts, "process": self._process, "event": note.event}
        return _encoder.encode(head | fields) + b"\n"

    def _open(self) -> None:
        self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size
        # One that was killed in the middle of a line left it torn.
        self._torn = self._size > 0 and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _rotate(self) -> None:
        os.rename(self._path, self._directory / f"{self._process}.{self._real_ns()}{SUFFIX}")
        os.close(self._fd)
        self._fd = -1
        self._open()
        older = older_files(self._directory, self._process)
        for path in older[: max(len(older) - self.keep, 0)]:
            path.unlink(missing_ok=True)
            _log.info("audit.removed", file=path.name, keep=self.keep)


def older_files(directory: Path, process: str) -> list[Path]:
    """The rotated files of a process, oldest first."""
    found = []
    for path in directory.glob(f"{process}.*{SUFFIX}"):
        stamp = path.name.removeprefix(f"{process}.").removesuffix(SUFFIX)
        if stamp.isascii() and stamp.isdigit():
            found.append((int(stamp), path))
    return [path for _, path in sorted(found)]


def _who(client: Client) -> dict[str, str]:
    return {"id": client.name, "address": client.peer, "user": client.user}


def _cut(value: object) -> object:
    return value[:VALUE_CHARS_MAX] if isinstance(value, str) else value
