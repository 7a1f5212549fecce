"""`tickgate bench`: its options, the runs that they mean, and what is written of the results.

Only what the command line needs is imported here: `tickgate --help` reads this module too.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from gateway.errors import TickgateError

if TYPE_CHECKING:
    from gateway.loadtest.result import Result
    from gateway.loadtest.run import Outcome, Settings, Stamp
    from gateway.loadtest.scenario import Scenario

app = App(
    name="bench",
    help="Load test: clients and ticks.",
    help_epilogue=(
        "Try: tickgate bench; tickgate bench one_to_1k; tickgate bench --url"
        " ws://127.0.0.1:8765/v1 --symbols '*'\n\n"
        "Exit codes: 0 well, 1 failed or interrupted, 2 usage, 3 the clients themselves were"
        " overloaded, 99 a threshold failed."
    ),
    help_format="plaintext",
)

DEFAULT: dict[str, Any] = {
    "name": "default",
    "description": "100 clients of one symbol, 1,000 ticks a second: 100,000 deliveries a second",
    "duration_s": 5.0,
    "groups": [{"name": "clients", "clients": 100}],
}
"""Without a scenario and a URL: ten seconds in all, and a load that most machines carry."""

STDOUT = "-"


class UsageError(TickgateError):
    """Options that contradict each other, or a value of a form of its own."""

    exit_code = 2


def _several(help: str) -> Any:
    return Parameter(help=help, negative="", consume_multiple=True, show_default=False)


Positive = Annotated[int | None, Parameter(validator=Number(gte=1))]
Seconds = Annotated[float | None, Parameter(validator=Number(gte=0))]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Load:
    """What is different from the scenario."""

    url: Annotated[
        str | None, Parameter(help="A server that runs already: ws[s]://HOST:PORT/v1.")
    ] = None
    clients: Annotated[Positive, Parameter(help="How many, over all groups.")] = None
    channel: Annotated[
        Literal["trade", "bbo"] | None, Parameter(help="What is sent, and subscribed to.")
    ] = None
    encoding: Annotated[
        Literal["json", "sbe"] | None, Parameter(help="How data comes: text, or binary frames.")
    ] = None
    symbols: Annotated[
        list[str] | None,
        _several("What to subscribe to: names and patterns; only with --url alone. Default: '*'."),
    ] = None
    subscribe: Annotated[
        str,
        Parameter(
            help="The text to send instead of our request ({n}: the client's number); only with"
            " --url alone.",
            show_default=False,
        ),
    ] = ""
    warmup: Annotated[Seconds, Parameter(help="Seconds before the window.")] = None
    duration: Annotated[Seconds, Parameter(help="Seconds of the window.")] = None
    rate: Annotated[float | None, Parameter(help="Ticks a second, in all.")] = None
    processes: Annotated[Positive, Parameter(help="How many drive the clients.")] = None
    threshold: Annotated[
        list[str] | None, _several("What must hold, e.g. 'p99<1ms' 'reach>=99.9%'; see the docs.")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """How it is run and measured."""

    ca: Annotated[
        Path | None,
        Parameter(help="Authorities (PEM) that a wss:// server is checked by; else this host's."),
    ] = None
    stamp: Annotated[
        str,
        Parameter(
            help="Where frames have their time: tickgate, json:PATH (json:data.0.E),"
            " after:TEXT or offset:N (little-endian ns)."
        ),
    ] = "tickgate"
    header: Annotated[
        list[str] | None, _several("'NAME: VALUE' of the upgrade request; repeatable.")
    ] = None
    feed: Annotated[
        str | None,
        Parameter(help="HOST:PORT of the udp feed of the server at --url, to send it ticks."),
    ] = None
    pid: Annotated[
        int | None,
        Parameter(help="The process of the server at --url. Default: who listens there."),
    ] = None
    server_cpus: Annotated[
        str, Parameter(help="CPUs of the gateway: 0 or 0,2 or 0-3.", show_default=False)
    ] = ""
    client_cpus: Annotated[
        str, Parameter(help="CPUs of clients and source.", show_default=False)
    ] = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """Where results go."""

    json: Annotated[
        str | None,
        Parameter(help="The result as JSON; - for standard output.", allow_leading_hyphen=True),
    ] = None
    hgrm: Annotated[Path | None, Parameter(help="The percentiles, for plotters.")] = None
    hlog: Annotated[Path | None, Parameter(help="The histogram of each second.")] = None
    markdown: Annotated[Path | None, Parameter(help="The groups by class, for a README.")] = None
    html: Annotated[Path | None, Parameter(help="A page with everything, in one file.")] = None
    quiet: Annotated[
        bool,
        Parameter(
            name=("--quiet", "-q"), help="Only the verdict.", negative="", show_default=False
        ),
    ] = False


@app.default
def bench(
    scenario: Annotated[
        str | None,
        Parameter(
            help="A TOML file, or the name of one that comes along. Without one: 100 clients of"
            " one symbol at 1,000 ticks a second, for 5 s; with --url and no --feed: only listens."
        ),
    ] = None,
    /,
    *,
    load: Load = Load(),
    how: How = How(),
    output: Output = Output(),
) -> int:
    """Runs a load test and prints what came of it."""
    with _interruptible():
        return _bench(scenario, load, how, output)


def _bench(scenario: str | None, load: Load, how: How, output: Output) -> int:
    settings = _settings(load, how)
    test = _test(scenario, load, how)
    named = {
        "--hgrm": output.hgrm,
        "--hlog": output.hlog,
        "--markdown": output.markdown,
        "--html": output.html,
    }
    if output.json not in (None, STDOUT):
        named["--json"] = Path(str(output.json))
    writable(named)
    from gateway.loadtest import bench as benches
    from gateway.loadtest.progress import view
    from gateway.loadtest.thresholds import exit_code

    benches.understood(test)
    with view(sys.stderr, quiet=output.quiet) as shown:
        outcome = benches.bench(test, settings, shown)
    _write(outcome, output)
    return exit_code(outcome.result)


@app.command(help_epilogue="")
def peers(
    names: Annotated[
        list[str] | None, Parameter(help="Which servers; all that can run here.", negative="")
    ] = None,
    /,
    *,
    directory: Annotated[
        Path, Parameter(help="Where their programs are, in a checkout of tickgate.")
    ] = Path("bench/peers"),
    rounds: Annotated[int, Parameter(validator=Number(gte=1), help="All in turn, so often.")] = 3,
    warmup: Annotated[
        float, Parameter(validator=Number(gte=0), help="Seconds before each window.")
    ] = 2.0,
    duration: Annotated[float, Parameter(validator=Number(gt=0), help="Seconds of each.")] = 6.0,
    json: Annotated[Path | None, Parameter(help="The results.")] = None,
    markdown: Annotated[Path | None, Parameter(help="The tables, for a README.")] = None,
    server_cpus: Annotated[
        str, Parameter(help="CPUs of the servers: 0 or 0,2 or 0-3.", show_default=False)
    ] = "",
    client_cpus: Annotated[
        str, Parameter(help="CPUs of clients and source.", show_default=False)
    ] = "",
) -> int:
    """Measures the gateway beside other servers, all under the same load, in turn."""
    writable({"--json": json, "--markdown": markdown})
    from rich.console import Console

    from gateway.loadtest.bench import peer_measure
    from gateway.loadtest.environment import environment
    from gateway.loadtest.peers import run_peers
    from gateway.loadtest.peers_table import markdown as as_markdown
    from gateway.loadtest.peers_table import print_peers
    from gateway.loadtest.progress import view
    from gateway.loadtest.run import Settings

    with _interruptible(), view(sys.stderr, quiet=True) as quiet:
        settings = Settings(
            server_cpus=cpus("--server-cpus", server_cpus),
            client_cpus=cpus("--client-cpus", client_cpus),
        )
        machine = environment()
        found = run_peers(
            directory,
            names or (),
            measure=peer_measure(settings, quiet, machine),
            environment=machine,
            warmup_s=warmup,
            duration_s=duration,
            rounds=rounds,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    if json is not None:
        json.write_bytes(found.to_json())
    if markdown is not None:
        markdown.write_text(as_markdown(found), encoding="utf-8")
    print_peers(found, Console())
    return 0 if found.complete else 1


@app.command(help_epilogue="")
def compare(
    a: Annotated[Path, Parameter(help="A result, or a directory of results of one side.")],
    b: Annotated[Path, Parameter(help="The same of the other side.")],
    /,
    *,
    force: Annotated[
        bool, Parameter(help="Whatever differs in machine and load.", negative="")
    ] = False,
) -> None:
    """Compares results of two versions or settings: ratios, with their 95 % intervals."""
    from gateway.loadtest.compare import compare as compared
    from gateway.loadtest.compare import text

    sys.stdout.write(text(compared(_results(a), _results(b), force=force)))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Whatever asks us to end is as Ctrl-C: children are ended, and what there is is shown.

    Raises:
        TickgateError: there is nothing; a load test that did not take place is no success.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise TickgateError("interrupted before anything was measured") from None


# --- what the options mean ------------------------------------------------------------------------


def _test(name: str | None, load: Load, how: How) -> Scenario:
    from gateway.loadtest import scenario as scenarios

    own = {"--symbols": load.symbols, "--subscribe": load.subscribe}
    unfit = [option for option, given in own.items() if given]
    listens = name is None and load.url is not None and how.feed is None
    if unfit and not listens:
        raise UsageError(f"{unfit[0]}: only with --url, without a scenario and --feed")
    if listens:
        assert load.url is not None
        if load.rate is not None:
            raise UsageError("--rate: nothing is sent to the server at --url without --feed")
        return _of_our_own(_listening(load.url, load), how)
    base = scenarios.from_document(DEFAULT) if name is None else scenarios.load(name)
    changed = base.overridden(
        clients=load.clients,
        duration_s=load.duration,
        warmup_s=load.warmup,
        rate=load.rate,
        processes=load.processes,
        channel=load.channel,
        url=load.url,
        encoding=load.encoding,
    )
    for option, given in (("--feed", how.feed), ("--pid", how.pid)):
        if given is not None and not changed.url:
            raise UsageError(f"{option}: only with --url")
    import msgspec

    thresholds = [*changed.thresholds, *(load.threshold or ())]
    return _of_our_own(msgspec.structs.replace(changed, thresholds=thresholds), how)


def _of_our_own(test: Scenario, how: How) -> Scenario:
    if test.encoding != "json" and how.stamp != "tickgate":
        raise UsageError(f"--stamp: found {how.stamp!r}; data in {test.encoding} is of tickgate's")
    return test


def _listening(url: str, load: Load) -> Scenario:
    from gateway.loadtest.scenario import listening

    if load.symbols and load.subscribe:
        raise UsageError("--subscribe: not with --symbols, which makes the request itself")
    given = {
        "clients": load.clients,
        "channel": load.channel,
        "encoding": load.encoding,
        "symbols": load.symbols,
        "warmup_s": load.warmup,
        "duration_s": load.duration,
        "processes": load.processes,
    }
    return listening(
        url,
        subscribe=load.subscribe,
        thresholds=load.threshold or (),
        **{key: value for key, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def _settings(load: Load, how: How) -> Settings:
    from gateway.loadtest.endpoint import header, parse
    from gateway.loadtest.run import Settings

    if load.url is not None:
        parse(load.url)
    if how.ca is not None:  # of this process and of those that it starts
        os.environ["SSL_CERT_FILE"] = str(how.ca.resolve())
    return Settings(
        stamp=stamp(how.stamp),
        headers=[header(text) for text in how.header or ()],
        feed=_feed(how.feed),
        pid=how.pid,
        server_cpus=cpus("--server-cpus", how.server_cpus),
        client_cpus=cpus("--client-cpus", how.client_cpus),
    )


def stamp(text: str) -> Stamp:
    """`--stamp` in the native swarm's words.

    Raises:
        UsageError: it is none of the forms.
    """
    kind, colon, rest = text.partition(":")
    if text == "tickgate":
        return "tickgate", b""
    if colon and rest and kind in ("json", "after"):
        return kind, rest.encode()
    if kind == "offset" and rest.isascii() and rest.isdigit():
        return kind, int(rest)
    raise UsageError(f"--stamp: found {text!r}; expected tickgate, json:PATH, after:TEXT, offset:N")


def cpus(option: str, text: str) -> tuple[int, ...]:
    """A list of CPUs as taskset(1) takes it: `0,2-3`.

    Raises:
        UsageError: it is none.
    """
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isascii() and end.isdigit() and len(end) < 5 for end in ends):
            raise UsageError(f"{option}: found {text!r}; expected CPUs as 0 or 0,2 or 0-3")
        found += range(int(ends[0]), int(ends[1]) + 1)
    return tuple(sorted(set(found)))


def _feed(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"--feed: found {text!r}; expected HOST:PORT")
    return host, int(port)


# --- results --------------------------------------------------------------------------------------


def writable(paths: Mapping[str, Path | None]) -> None:
    """That a file can't be written should show before the test, not after it.

    Raises:
        UsageError: the directory is not there, or it is no file.
    """
    for option, path in paths.items():
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise UsageError(f"{option}: {path}: no file can be written there")


def _write(outcome: Outcome, output: Output) -> None:
    from rich.console import Console

    from gateway.loadtest.summary import print_summary
    from gateway.loadtest.thresholds import verdict_line

    result = outcome.result
    if output.hgrm is not None:
        from gateway.latency.hgrm import hgrm
        from gateway.loadtest.interchange import decode

        output.hgrm.write_text(hgrm(decode(result.histogram)), encoding="utf-8")
    if output.hlog is not None:
        from gateway.loadtest.interchange import hlog

        output.hlog.write_text(
            hlog(outcome.start_ns, outcome.intervals, result.name), encoding="utf-8"
        )
    if output.markdown is not None:
        from gateway.loadtest.class_table import markdown

        output.markdown.write_text(markdown(result), encoding="utf-8")
    if output.html is not None:
        from gateway.loadtest.report import report

        output.html.write_text(report(result), encoding="utf-8")
    if output.json not in (None, STDOUT):
        Path(str(output.json)).write_bytes(result.to_json())
    if output.json == STDOUT:
        sys.stdout.write(result.to_json().decode())
    elif output.quiet:
        print(verdict_line(result))
    else:
        print_summary(result, Console())


def _results(path: Path) -> Sequence[Result]:
    from gateway.loadtest.result import from_json

    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    try:
        return [from_json(file.read_bytes(), str(file)) for file in files]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
