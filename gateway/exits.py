"""The end of a child process, as a descriptor that becomes readable.

A pidfd where the host gives one; else a thread waits and hangs up a pipe. Neither reaps the child:
until its owner does, the pid means this process and no other, so that it may be signalled.
"""

import os
import threading
from contextlib import suppress


class Exit:
    """Of one child, which its owner reaps.

    Attributes:
        fd: readable once the process has ended.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self.fd = os.pidfd_open(pid)
        except OSError:
            self.fd, ours = os.pipe2(os.O_CLOEXEC)
            waiting = threading.Thread(
                target=self._wait, args=(ours,), name=f"exit-{pid}", daemon=True
            )
            waiting.start()

    def _wait(self, ours: int) -> None:
        # WNOWAIT: it stays a zombie, whose pid nothing else gets.
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        os.close(ours)

    def signal(self, number: int) -> None:
        """Sends a signal; to be called before the child is reaped."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def close(self) -> None:
        """Closes the descriptor."""
        os.close(self.fd)
