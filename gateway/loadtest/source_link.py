"""The link to a tick source, which talks in lines over its standard streams."""

from __future__ import annotations

import subprocess
from typing import IO

import msgspec

from gateway.loadtest.link import Failed, Go, Message, Opened, Stop
from gateway.loadtest.source import SourceJob, SourceReport

READY = b"ready"


class SourceLink:
    """Our end of the pipes of `gateway.loadtest.source`, in the words of `Link`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._orders: IO[bytes] = process.stdin
        self._answers: IO[bytes] = process.stdout

    def send(self, message: Message | SourceJob) -> None:
        """Sends one message.

        Raises:
            OSError: the other side is gone.
        """
        if isinstance(message, Stop):
            self._process.terminate()  # it owes its report all the same
            return
        line = b"%d" % message.at_ns if isinstance(message, Go) else msgspec.json.encode(message)
        self._orders.write(line + b"\n")
        self._orders.flush()

    def receive(self) -> Opened | SourceReport | Failed | None:
        """The next message; None: the other side is gone."""
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            return None
        if line.strip() == READY:
            return Opened(clients=0, took_ns=0)
        report = msgspec.json.decode(line, type=SourceReport)
        return Failed(report.failed) if report.failed else report

    def fileno(self) -> int:
        """Readable while a message is there, or the end."""
        return self._answers.fileno()

    def close(self) -> None:
        self._orders.close()
        self._answers.close()
