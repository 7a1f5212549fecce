"""A first message for children that do not look at it."""

import msgspec

from gateway.supervisor.messages import WorkerStart


def started(index: int = 0) -> WorkerStart:
    config = msgspec.Raw(b"{}")
    return WorkerStart(
        config=config, index=index, stats_fd=-1, wait_fd=-1, event_fd=-1, listen_fd=-1
    )
