"""`tickgate tune`: measures, keeps what it measured, says what it proposes."""

import json
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from gateway.errors import TickgateError
from gateway.tune import keep, show
from gateway.tune.facts import Facts
from gateway.tune.propose import propose

EXIT_FAILED = 1


class MeasurementError(TickgateError):
    """Nothing at all was measured."""


class OutputError(TickgateError):
    """The fragment's file can't be written."""


def tune(
    seconds: float,
    clients: int,
    output: Path | None,
    out: TextIO,
    *,
    as_json: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Runs the command; 1 where no target can be proposed, else 0.

    Raises:
        OutputError: the file exists already, or can't be written.
    """
    if output is not None:
        _may_write(output)  # rather than after ten seconds
    if sys.stderr.isatty():
        print(f"measuring for {seconds:g} s ...", file=sys.stderr, flush=True)
    facts = measured(seconds, environ)
    proposals = propose(facts, clients)
    if as_json:
        out.write(json.dumps(show.document(facts, proposals), indent=2) + "\n")
    else:
        out.write(show.in_words(facts, proposals))
    if output is not None and proposals.proposals:
        _write(output, show.toml(facts, proposals))
    return 0 if proposals.get("slo.target_us") is not None else EXIT_FAILED


def measured(seconds: float, environ: Mapping[str, str] = os.environ) -> Facts:
    """Measures, and keeps what tells of a target; where not, a line on standard error says why."""
    from gateway.tune.measure import measure

    taken: list[Facts] = []
    # In a thread, so that Ctrl-C need not wait for a native loop's end.
    thread = threading.Thread(target=lambda: taken.append(measure(seconds)), daemon=True)
    thread.start()
    thread.join()
    if not taken:  # its traceback is on standard error
        raise MeasurementError("the measurement failed")
    (facts,) = taken
    # What was refused once, such as a descriptor, need not be refused the next time.
    whole = propose(facts).estimate_us is not None
    why = keep.save(keep.path(environ), facts) if whole else "it says of no target"
    if why:
        print(f"tickgate: the measurement is not kept: {why}", file=sys.stderr)
    return facts


def _may_write(output: Path) -> None:
    if os.path.lexists(output):
        raise OutputError(f"{output}: exists already, and may hold what you have set")
    if not os.path.isdir(output.parent):
        raise OutputError(f"{output}: there is no such directory")


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{output}: exists already") from None
    except OSError as error:
        with suppress(OSError):
            output.unlink()
        raise OutputError(f"{output}: {error.strerror or error}") from None
