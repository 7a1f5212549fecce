"""The examples of README.md and docs/client.md run, and the types see a misspelt field."""

import asyncio
import re
import sys
from pathlib import Path

from mypy import api
from support.serving import serving

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORT = re.compile("import |from ")
URL = "ws://127.0.0.1:8765/v1"
TIMEOUT_S = 60.0
FEED = (
    *('feeds.0.type="synthetic"', 'feeds.0.venue="SIM"', "feeds.0.symbols=20", "feeds.0.rate=500"),
    'feeds.0.channels=["trade","bbo","book"]',
    "slo.target_us=1000000",
)


def examples() -> list[str]:
    pages = ("README.md", "docs/client.md")
    return [code for page in pages for code in PYTHON.findall((ROOT / page).read_text())]


async def lines(code: str, count: int) -> list[str]:
    """What the example prints first."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-u", "-c", code),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return [(await process.stdout.readline()).decode() for _ in range(count)]
    finally:
        process.terminate()
        await process.communicate()


async def test_each_example_prints_what_it_promises(tmp_path: Path) -> None:
    with serving(tmp_path / "log", *FEED) as gateway:
        counts = (40, 40, 40, 40, 40, 40, 3, 40, 40)
        printed = [
            lines(code.replace(URL, gateway.url), count)
            for code, count in zip(examples(), counts, strict=True)
        ]
        shown, tops, decisions, quotes, spreads, *others = await asyncio.gather(*printed)
        answers, latencies, arrays, books = others
    level = r"\[Level\(price_text='[\d.]+', qty_text='[\d.]+'\)\]"
    assert all(re.fullmatch(rf"SYM001\.SIM {level} {level}\n", line) for line in tops), tops
    spread = re.compile(r"SYM001\.SIM \d+ spread [\d.]+ bid for [\d.]+\n")
    assert all(spread.fullmatch(line) for line in spreads), spreads
    trade = re.compile(r"SYM0\d\d\.SIM (buy|sell) [\d.]+ at [\d.]+\n")
    assert all(trade.fullmatch(line) for line in shown), shown
    quote = re.compile(r"SYM0\d\d\.SIM spread [\d.]+ -?[\d.]+ ms old\n")
    assert any(quote.fullmatch(line) for line in quotes), quotes
    assert all(quote.fullmatch(line) or trade.fullmatch(line) for line in quotes), quotes
    assert answers[0].startswith("NOPE.X unknown_symbol "), answers
    assert any(re.fullmatch(r"SYM00\d\.SIM \(.*'trade'.*\)\n", line) for line in answers), answers
    assert any(line.startswith("Bbo(") for line in answers), answers
    decision = re.compile(r"SYM0\d\d\.SIM (buy|sell) at [\d.]+\n")
    assert all(decision.fullmatch(line) for line in decisions), decisions
    assert {line.split()[1] for line in decisions} == {"buy", "sell"}
    latency = re.compile(r"\d+ quotes, p50 \d+ us, p99 \d+ us\n")
    assert all(latency.fullmatch(line) for line in latencies), latencies
    array = re.compile(r"\d+ trades at \d+\.\d+ the last of SYM0\d\d\.SIM\n")
    assert all(array.fullmatch(line) for line in arrays), arrays
    frames = re.compile(r"\d+ frames, \d+ levels gone, bid for \d+\.\d+\n")
    assert all(frames.fullmatch(line) for line in books), books
    assert not all(" 0.0\n" in line for line in books), "there are updates"


def test_a_strategy_is_twenty_lines() -> None:
    strategy = examples()[2]
    code = [line for line in strategy.splitlines() if line and not IMPORT.match(line)]
    assert len(code) <= 20
    assert max(map(len, strategy.splitlines())) <= 100


MISTAKES = ["event.prise", "event.price * 2.0", 'event.price["x"]', 'event.data[0]["price"]']


def test_the_examples_type_check_and_mistakes_do_not(tmp_path: Path) -> None:
    files = []
    for number, code in enumerate(examples()):
        files.append(tmp_path / f"good_{number}.py")
        files[-1].write_text(code)
    body = "from gateway.client import Trade\n\n\ndef read(event: Trade) -> None:\n"
    bad = tmp_path / "bad.py"
    bad.write_text(body + "".join(f"    print({mistake})\n" for mistake in MISTAKES))
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n")
    words = ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache")]
    out, errors, _ = api.run([*words, "--no-error-summary", *map(str, files), str(bad)])
    assert not errors
    told = re.findall(r"(\w+)\.py:(\d+): error", out)
    assert told == [("bad", str(5 + n)) for n in range(len(MISTAKES))], out
