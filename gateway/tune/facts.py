"""The measured facts of a host: frozen tables, as they are kept and as `--json` shows them.

Durations are nanoseconds. A measurement that could not be taken is None, and `missing` says why.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

FORMAT = 1
"""Of the kept file: another number is another program's, and is measured anew."""


Count = Annotated[int, Meta(ge=0, le=1 << 62)]
"""Bytes and nanoseconds too: a kept file may say anything, but nothing that can't be."""


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all tables here."""


class Host(_Table, frozen=True, kw_only=True):
    """The host as far as it makes measurements of another one void.

    Attributes:
        id: a hash of the machine's identity, so that the file gives no name away.
        cpu: the CPU's model.
        present, allowed: CPUs of the host, and those that this process may use.
        quota: CPUs' worth of time that the control group grants; 0: no quota.
        kernel: its release.
    """

    id: str
    cpu: str
    present: Count
    allowed: Count
    quota: float
    kernel: str

    @property
    def cpus(self) -> float:
        """CPUs' worth of time that the gateway can have."""
        return min(self.allowed, self.quota) if self.quota else self.allowed


class Memory(_Table, frozen=True, kw_only=True):
    """Bytes: of the host or the control group, whichever is less."""

    total_bytes: Count
    available_bytes: Count


class Times(_Table, frozen=True, kw_only=True):
    """A distribution.

    Attributes:
        negative: values that clocks which disagree made shorter than nothing.
        tail_ns: the mean of the slowest hundredth. Where a thread is held up by the scheduler's
            tick in about one case of a hundred, p99 is either side of it by chance; this is not.
    """

    count: Count
    negative: Count
    p50_ns: Count
    p99_ns: Count
    p999_ns: Count
    max_ns: Count
    tail_ns: Count


class Sends(_Table, frozen=True, kw_only=True):
    """Rounds of one send to each of `sockets` loopback connections that a thread reads."""

    sockets: Annotated[int, Meta(ge=1)]
    sends: Count
    short_sends: Count
    round: Times

    @property
    def each_ns(self) -> float:
        """One send, by the median round."""
        return self.round.p50_ns / self.sockets


class Wakes(_Table, frozen=True, kw_only=True):
    """Wake-ups of a thread with the plane's slice, where that is granted."""

    rung: Count
    skipped: Count
    run_delay_ns: int
    slice: bool
    delay: Times


class Clocks(_Table, frozen=True, kw_only=True):
    """The clocks: the kernel's source, a look at MONOTONIC, and jumps of REALTIME against it."""

    source: str
    read_ns: Annotated[float, Meta(ge=0)]
    steps: Count
    step_ns: int


class Facts(_Table, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        seconds: how long it took.
        taken_ns: REALTIME at its end.
        load: the host's load average over a minute when it began; -1: not told.
        send_across, send_beside: readers on another CPU than the sender, and on the same one.
        wake, wake_busy: a CPU of the scheduler's choice; beside a computing thread.
        stolen_ns: time that the hypervisor took of the CPU of which it took most.
        missing: what could not be measured, and why.
    """

    format: int = FORMAT
    host: Host
    seconds: Annotated[float, Meta(gt=0)]
    taken_ns: Count
    load: float
    memory: Memory
    clocks: Clocks | None
    send_across: Sends | None
    send_beside: Sends | None
    wake: Wakes | None
    wake_busy: Wakes | None
    stolen_ns: Count
    missing: tuple[str, ...] = ()

    @property
    def stolen(self) -> float:
        """Share of the time that the hypervisor took, from 0 to 1."""
        return min(self.stolen_ns / (self.seconds * 1e9), 1.0)
