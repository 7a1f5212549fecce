"""The `tickgate` command: what PROTOCOL section 6 says, and its exit codes.

Every part is imported by the command that needs it: `tail`, `--version` and `config check` start in
a fraction of a second because neither the servers nor the native core are loaded for them.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from gateway.errors import ResourceError, TickgateError
from gateway.host import open_standard_streams, too_little
from gateway.text import plain, print_anything

if TYPE_CHECKING:
    from gateway.app import Feeds, Urls
    from gateway.config import Config

EXIT_FAILED = 1
EXIT_USAGE = 2

DEMO: dict[str, Any] = {
    "feeds": [
        {
            "type": "synthetic",
            "venue": "SIM",
            "symbols": 100,
            "rate": 1000,
            "channels": ["trade", "bbo", "book", "instrument"],
        }
    ],
    "ring": {"capacity_bytes": 16 << 20},
    "plane": {"log_bytes": 16 << 20},
    "recorder": {"enabled": False},
}
"""The market, and buffers of its size: at 1,000 records a second the ring holds two minutes. A demo
writes no recordings into anybody's home; `tickgate record` takes one when it is asked."""

LIMIT_US = 60_000_000
"""The largest target that the configuration allows."""

ConfigFile = Annotated[Path | None, Parameter(help="TOML file; without it the defaults.")]
Authorities = Annotated[str | None, Parameter(help="A file of authorities for wss:// (PEM).")]
Sets = Annotated[
    list[str],
    Parameter(
        name="--set",
        negative="",
        show_default=False,
        allow_leading_hyphen=True,
        help="section.key=value, over file and environment; repeatable (feeds.0.rate=5000).",
    ),
]


def _version() -> str:
    from importlib.metadata import version

    return f"tickgate {version('tickgate')}"


app = App(
    name="tickgate",
    help="A low-latency market data WebSocket gateway.",
    version=_version,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
config_app = App(name="config", help="The configuration: check it, show it, its schema.")
app.command(config_app)
app.command("gateway.loadtest.command:app", name="bench", help="Load test: clients and ticks.")
app.command("gateway.operate:usage", name="usage")
app.command("gateway.operate:admin_app", name="admin", help="Asks a gateway that runs here.")
app.command("gateway.identity.command:token_app", name="token", help="Tokens and their keys.")
app.command("gateway.identity.command:key_app", name="key", help="API keys: add, list, revoke.")
app.command("gateway.ready:ready", name="ready")


def main(tokens: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's own) and returns its exit code."""
    open_standard_streams()
    print_anything()
    # numpy's linear algebra, of which nothing is used here, else takes a thread and 40 MB of
    # address space for each CPU, in each process; where a limit denies them it ends the process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        result = app(
            list(sys.argv[1:] if tokens is None else tokens),
            exit_on_error=False,
            print_error=True,
            help_on_error=True,
            error_formatter=lambda error: f"tickgate: {error}",
            result_action="return_value",
        )
        sys.stdout.flush()
    except CycloptsError:  # printed already, below the usage
        return EXIT_USAGE
    except TickgateError as error:
        print(f"tickgate: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # The reader has gone (`| head`): that is its right. Nothing may be flushed at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, OSError, RuntimeError) as error:
        if not (little := too_little(error)):
            raise
        print(f"tickgate: {little}", file=sys.stderr)
        return ResourceError.exit_code
    return result if isinstance(result, int) else 0


# --- serving --------------------------------------------------------------------------------------


@app.command
def serve(*, config: ConfigFile = None, sets: Sets = []) -> int:  # noqa: B006
    """Serves clients until SIGTERM or SIGINT; SIGHUP reads the configuration file again."""
    loaded = _load(config, sets)
    from gateway.app import serve as run

    return run(loaded, reload=None if config is None else lambda: _load_again(config, sets))


@app.command
def demo(*, sets: Sets = []) -> int:  # noqa: B006
    """Serves a made-up market and says where to connect: 100 symbols of venue SIM."""
    loaded, why = _demo_config(sets)
    from gateway import app as application
    from gateway.orders import STOPS

    return application.serve(
        loaded,
        on_ready=lambda urls: print(_welcome(loaded, urls, why), flush=True),
        stops=(*STOPS, signal.SIGHUP),  # its terminal was closed
    )


def _demo_config(sets: Sequence[str]) -> tuple["Config", str]:
    """The demo's configuration, with a target that this host can hold; and why that target."""
    from gateway.config import assemble, decided
    from gateway.tune.choose import choose

    asked = assemble(DEMO, os.environ, sets)  # its errors come before any measurement
    if decided(DEMO, os.environ, sets, "slo.target_us", (1, 2)):
        return asked, "as you set it"
    # A display target that was set is not to be contradicted by a target that was not.
    limit = asked.slo.display_target_us
    if not decided(DEMO, os.environ, sets, "slo.display_target_us", (LIMIT_US - 1, LIMIT_US)):
        limit = LIMIT_US
    chosen = choose(workers=asked.cluster.workers, target_us_max=limit)
    return assemble(DEMO | chosen.document, os.environ, sets), chosen.reason


@app.command
def replay(
    files: Annotated[list[Path], Parameter(help="A flight recording, or captures of one venue.")],
    /,
    *,
    speed: Annotated[
        float, Parameter(validator=Number(gte=0, lte=1000), help="0: as fast as clients read.")
    ] = 1.0,
    loop: Annotated[bool, Parameter(negative="", help="Begin again at the end.")] = False,
    start_after_clients: Annotated[
        int, Parameter(validator=Number(gte=0), help="Hold until so many are subscribed.")
    ] = 0,
    sets: Sets = [],  # noqa: B006
) -> int:
    """Serves the records of files as if they came now, and nothing else.

    Says at the end what it played and what it did not; exit code 1 where there was nothing to play.
    """
    from gateway.config import assemble
    from gateway.feeds.tape import played

    more = {"speed": speed, "loop": loop, "start_after_clients": start_after_clients}
    name = str(files[0]) if len(files) == 1 else f"{len(files)} files"
    feeds = [feed | more for feed in played([str(file) for file in files])]
    document = {"feeds": feeds}
    loaded = assemble(document | _beside_another(document, sets), os.environ, sets)
    from gateway import app as application
    from gateway.orders import STOPS

    return application.serve(
        loaded,
        on_ready=lambda urls: print(
            f"Plays {name} to {urls.client}; dashboard {urls.ops}; Ctrl-C stops it.", flush=True
        ),
        on_played=_played,
        stops=(*STOPS, signal.SIGHUP),
    )


def _beside_another(document: Mapping[str, Any], sets: Sequence[str]) -> dict[str, Any]:
    """Free ports in place of those that another gateway has, where nobody decided on them."""
    from gateway.address import listeners
    from gateway.config import assemble, decided

    config = assemble(document, os.environ, sets)
    changed = {}
    for section, options in (("listen", config.listen), ("ops", config.ops)):
        if decided(document, os.environ, sets, f"{section}.port", (20_001, 20_002)):
            continue
        try:
            listeners(options.host, options.port, 1)[0].close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                continue  # serving will say so
            changed[section] = {"port": 0}
            print(
                f"{section}.port {options.port} is in use, by another gateway perhaps: a replay is"
                " one of its own, and takes a free port.",
                file=sys.stderr,
            )
    return changed


def _played(feeds: "Feeds") -> int:
    """Says what was played, skipped and refused, and why; 1 where there was nothing to play."""
    for feed in feeds:
        print(f"{feed.name}: {plain(feed.message)}.", flush=True)
    if any(feed.records for feed in feeds):
        print("It is over; the last values are served until Ctrl-C.", flush=True)
        return 0
    return 1


def _welcome(config: "Config", urls: "Urls", why: str) -> str:
    """Where the demo serves, and lines to paste that show it."""
    program = "tickgate" if shutil.which("tickgate") else _short(sys.argv[0])
    url = "" if urls.client == "ws://127.0.0.1:8765/v1" else f" --url {urls.client}"
    ops = "" if urls.ops == "http://127.0.0.1:9464/" else f" --ops {urls.ops}"
    return f"""
Tickgate serves {_market(config)}.

  clients    {urls.client}
  dashboard  {urls.ops}
  target     {_target(config)}: {why}

Watch the ticks, and how well they are served:

  {program} tail SYM001.SIM SYM002.SIM{url}
  {program} top{ops}

or with a client of your own:

  {_short(sys.executable)} -c 'import json; from websockets.sync.client import connect
with connect("{urls.client}") as ws:
    ws.send(json.dumps({{"method": "subscribe", "req_id": 1,
        "params": {{"channel": "trade", "symbol": ["SYM001.SIM"]}}}}))
    for message in ws: print(message, flush=True)'

Ctrl-C stops it.
"""


def _target(config: "Config") -> str:
    from gateway.loadtest import units

    slo = config.slo
    held = f"p{slo.percentile:g} of {units.duration(slo.target_us)}"
    return f"{held} (slo.target_us = {slo.target_us})"


def _market(config: "Config") -> str:
    feed = config.feeds[0] if config.feeds else None
    symbols, rate = getattr(feed, "symbols", None), getattr(feed, "rate", None)
    if symbols is None or rate is None:
        return f"{len(config.feeds)} feeds"
    return f"a made-up market: {symbols} instruments, {rate:g} records a second"


def _short(path: str) -> str:
    """The path as one would type it here."""
    absolute, here = os.path.abspath(path), os.getcwd() + os.sep
    return absolute.removeprefix(here)


# --- watching -------------------------------------------------------------------------------------


_BOOKS = "book"
"""In the place of `tail`'s first symbol, which always has a dot or a star: their books."""


def _named(_: Any, symbols: list[str]) -> None:
    if symbols == [_BOOKS]:
        raise ValueError("of which instruments?")


@app.command
def tail(
    symbols: Annotated[
        list[str],
        Parameter(
            validator=_named,
            help="Names and patterns: BTCUSDT.BINANCE '*.SIM'; after `book`, their order books.",
        ),
    ],
    /,
    *,
    url: Annotated[str, Parameter(help="The gateway's endpoint.")] = "ws://127.0.0.1:8765/v1",
    channel: Literal["trade", "bbo", "both", "candle", "instrument", "status"] = "both",
    depth: Annotated[
        Literal[1, 5, 10, 25, 100, 500, 1000], Parameter(help="Of books: levels a side.")
    ] = 10,
    interval: Annotated[
        Literal["1s", "1m", "5m", "15m", "1h", "1d"], Parameter(help="Of candles.")
    ] = "1m",
    encoding: Annotated[
        Literal["json", "sbe"], Parameter(help="How it comes; what is shown is the same.")
    ] = "json",
    max_hz: Annotated[
        float | None,
        Parameter(
            validator=Number(gte=0.1, lte=1000),
            help="At most so many ticks a second of each instrument and channel, each the newest.",
        ),
    ] = None,
    count: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="Stop after so many ticks.")
    ] = None,
    ca: Authorities = None,
) -> int:
    """Shows live ticks with their age, or order books as ladders (`tail book`), until Ctrl-C."""
    import asyncio

    from gateway.client import ConnectFailed
    from gateway.client.ladder import tail_books
    from gateway.client.tail import tail as watch

    channels = ("trade", "bbo") if channel == "both" else (channel,)
    shown: Any = {"encoding": encoding, "max_hz": max_hz, "count": count, "out": sys.stdout}
    shown |= {"ca": ca, "colour": sys.stdout.isatty() and "NO_COLOR" not in os.environ}
    try:
        if symbols[0] == _BOOKS:
            return asyncio.run(tail_books(url, symbols[1:], depth, **shown))
        return asyncio.run(watch(url, symbols, channels, interval=interval, **shown))
    except ConnectFailed as error:
        print(f"tickgate: {error}. Does the gateway run (tickgate demo)?", file=sys.stderr)
    except ConnectionError as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"tickgate: {error}", file=sys.stderr)
    return EXIT_FAILED


@app.command
def record(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="The file to write.")],
    seconds: Annotated[
        float | None,
        Parameter(
            validator=Number(gte=1, lte=50),
            help="How far back; without it the gateway's recorder.seconds.",
        ),
    ] = None,
    ops: Annotated[str, Parameter(help="The gateway's ops listener.")] = "http://127.0.0.1:9464/",
) -> int:
    """Writes down a running gateway's last seconds: a flight recording, for explain and replay."""
    from gateway.recorder.command import record as run

    return run(ops, output, seconds, sys.stdout)


@app.command
def top(
    *,
    url: Annotated[
        str,
        Parameter(name=["--ops", "--url"], help="The ops listener, or the dashboard."),
    ] = "ws://127.0.0.1:9464/v1",
    once: Annotated[
        bool, Parameter(negative="", help="Print one snapshot and end; so without a terminal.")
    ] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print the document itself, once.")
    ] = False,
    ca: Authorities = None,
) -> None:
    """Shows the dashboard in the terminal, until q or Ctrl-C."""
    import asyncio

    from gateway.top.command import top as show

    asyncio.run(show(url, once=once, as_json=as_json, out=sys.stdout, ca=ca))


@app.command
def explain(
    file: Annotated[Path, Parameter(help="A flight recording.")],
    /,
    *,
    json: Annotated[bool, Parameter(negative="", help="For machines.")] = False,
) -> int:
    """Says what a flight recording shows: what happened, its first cause, and who was hurt."""
    from gateway.recorder.command import explain as run

    return run(file, sys.stdout, as_json=json)


# --- configuration --------------------------------------------------------------------------------


@config_app.command
def check(config: ConfigFile = None, *, sets: Sets = []) -> None:  # noqa: B006
    """Lists every error of the configuration, exit code 78; else says what memory it takes."""
    from gateway.memory import words

    loaded = _load(config, sets)
    print("the configuration is good")
    if not loaded.feeds:
        print("warning: no feeds: clients may connect, and nothing will come")
    print(words(loaded))


@config_app.command
def show(config: ConfigFile = None, *, sets: Sets = []) -> None:  # noqa: B006
    """Prints the configuration in force, as TOML."""
    from gateway.config import to_toml

    sys.stdout.write(to_toml(_load(config, sets)))


@config_app.command
def schema() -> None:
    """Prints the configuration's JSON schema."""
    import json

    import msgspec

    from gateway.config import Config

    print(json.dumps(msgspec.json.schema(Config), indent=2))


@app.command
def tune(
    *,
    seconds: Annotated[
        float, Parameter(validator=Number(gte=0.2, lte=60), help="How long to measure.")
    ] = 10.0,
    clients: Annotated[
        int,
        Parameter(
            validator=Number(gte=1, lte=1_000_000),
            help="The audience to allow for: all of them take every record.",
        ),
    ] = 50,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="For machines.")] = False,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"], help="A new file for what is proposed, as configuration."
        ),
    ] = None,
) -> int:
    """Measures this host and proposes settings that it can hold; exit code 1 if no target."""
    from gateway.tune.command import tune as run

    return run(seconds, clients, output, sys.stdout, as_json=as_json)


@app.command
def doctor(*, config: ConfigFile = None, sets: Sets = []) -> int:  # noqa: B006
    """Checks this host against the configuration; exit code 1 if something fails."""
    from gateway.doctor import examine, report

    return report(examine(_load(config, sets)), sys.stdout)


def _load(path: Path | None, sets: Sequence[str]) -> "Config":
    from gateway.config import load

    return load(path, os.environ, sets)


def _load_again(path: Path, sets: Sequence[str]) -> "Config":
    """As `_load`, of a gateway that runs: it must not wait for a pipe to which nothing comes."""
    from gateway.errors import ConfigurationError, Problem

    if not os.path.isfile(path):  # False too where nobody may look
        problem = Problem(str(path), "is no file, or not one any more")
        raise ConfigurationError("the configuration has an error", [problem])
    return _load(path, sets)


if __name__ == "__main__":
    sys.exit(main())
