"""What an overload did with the latency controller only watching, and with it acting."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from gateway.loadtest.described import described as _is


class LadderResult(Struct, frozen=True, kw_only=True):
    """Where the gateway's controller stood after the window, looked at each half second."""

    step_max: Annotated[int, _is("the highest step seen; 0: nothing was degraded")]
    back_s: Annotated[
        float | None, _is("seconds after the window until all was at 0 for good; null: never")
    ]


class OverloadRow(Struct, frozen=True, kw_only=True):
    """What one group got in one run; durations are ages at the client."""

    group: Annotated[str, _is("its name")]
    class_number: Annotated[int | None, _is("class of its subscriptions, 0 to 3")]
    p50_us: Annotated[float | None, _is("null: nothing was delivered")]
    p99_us: Annotated[float | None, _is("as `p50_us`")]
    p999_us: Annotated[float | None, _is("as `p50_us`")]
    max_us: Annotated[float | None, _is("as `p50_us`")]
    expected: Annotated[int | None, _is("data frames, had each client got each tick")]
    delivered: Annotated[int, _is("data frames stamped in the window")]
    reach: Annotated[float | None, _is("delivered / expected")]
    conflated: Annotated[int | None, _is("records skipped and told so")]
    dropped: Annotated[int | None, _is("records that were told to be lost")]
    budget: Annotated[
        float | None,
        _is(
            "left of the error budget of 1 %, 1 all of it, below 0 overspent; spent by what was"
            " older than the target or not delivered at all; null: there is no target yet"
        ),
    ]
    closed: Annotated[int, _is("connections that the server ended")]


class OverloadRun(Struct, frozen=True, kw_only=True):
    """One run at one load."""

    name: Annotated[str, _is("`quiet`, `observe` or `enforce`")]
    load: Annotated[float, _is("ticks of the window / capacity")]
    rate: Annotated[float, _is("ticks a second in the window")]
    per_s: Annotated[float, _is("data frames that arrived in the window, a second")]
    step_max: Annotated[int | None, _is("highest step after the window; null: nobody looked")]
    back_s: Annotated[
        float | None, _is("seconds after the window until the ladder was at 0; null: never")
    ]
    server_cpu: Annotated[float | None, _is("CPU seconds a second, of all its processes")]
    client_busy: Annotated[float, _is("CPU / wall time of the clients' busiest thread")]
    valid: Annotated[bool, _is("false: the figures are not the server's alone")]
    rows: Annotated[list[OverloadRow], _is("the groups, in the scenario's order")]


class OverloadResult(Struct, frozen=True, kw_only=True):
    """An overload, without and with the controller acting."""

    capacity: Annotated[float, _is("highest ticks a second that held the search's thresholds")]
    capacity_per_s: Annotated[float, _is("the same in deliveries a second")]
    target_us: Annotated[int, _is("what the gateway was told to hold")]
    target_group: Annotated[str, _is("whose quiet p99 it comes from")]
    target_factor: Annotated[float, _is("times that p99")]
    runs: Annotated[list[OverloadRun], _is("in the order in which they ran")]
