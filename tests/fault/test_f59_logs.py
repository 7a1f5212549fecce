"""Row 59: what clients say never forges a line of the log, nor a control character in it."""

import json
import re

import pytest
from support.serving import Serving, until
from support.wire import Wire, close, connected, request, subscribe, text

FORGED = "x\r\n2026-01-01T00:00:00Z info forged\x1b[31m\x07\x00\x85\u2028\u202e"
LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (?:debug|info|warning|error) +[\w-]+ \w+ [\w.]+( .*)?")
HEADERS = ("Sec-WebSocket-Key", "User-Agent", "Origin", "Sec-WebSocket-Protocol", "Host")


def provoke(gateway: Serving) -> None:
    """Says it wherever a client may say something."""
    latin = FORGED.encode("ascii", "ignore").decode()
    one_line = latin.replace("\r\n", " ").replace("\0", "")
    for name in HEADERS:
        for value in (latin, one_line):
            with Wire(gateway.url) as wire:
                without = [name] if name in ("Host", "Sec-WebSocket-Key") else []
                wire.send(request(without=without, more=[(name, value)]))
                wire.response()
    for target in ("/\x1b[31mforged", "/" + "x" * 9000, "/v1?\x07\x7f"):
        with Wire(gateway.url) as wire:
            wire.send_anyway(request(target))
            wire.response()
    with connected(gateway.url) as wire:
        wire.send(subscribe([FORGED, "SYM001.SIM" + FORGED], channel="trade"))
        assert wire.reply()["failed"] == 2
        wire.send(subscribe(["*"], channel=FORGED), text({"method": FORGED, "req_id": FORGED[:36]}))
        wire.reply()
        wire.reply()
        wire.send(close(4000, FORGED.encode()))
        assert wire.closed() == (4000, FORGED)


def clean(lines: str) -> list[str]:
    """The lines, when nothing but their ends is a control character."""
    assert lines.endswith("\n")
    assert re.search(r"[^\n\x20-\x7e]", lines) is None
    return lines.splitlines()


@pytest.mark.threat("R2")
def test_f59_json_lines_stay_lines(gateway: Serving) -> None:
    seen = len(gateway.lines())
    provoke(gateway)
    until(lambda: '"code": 4000' in gateway.lines()[seen:])
    entries = [json.loads(line) for line in clean(gateway.lines()[seen:])]
    assert {entry["event"] for entry in entries} <= {
        *("client.closed", "handshake.refused", "log.suppressed")
    }
    closed = next(entry for entry in entries if entry.get("code") == 4000)
    assert closed["reason"] == FORGED


@pytest.mark.threat("R2")
def test_f59_text_lines_stay_lines(strict: Serving) -> None:
    """CVE-2026-34519: control characters never reach a line of the log."""
    seen = len(strict.lines())
    provoke(strict)
    until(lambda: "code=4000" in strict.lines()[seen:])
    lines = clean(strict.lines()[seen:])
    assert all(LINE.fullmatch(line) for line in lines), lines
    assert not any(line.startswith("2026-01-01") for line in lines)


@pytest.mark.parametrize("size", [300, 8000])
def test_f59_long_values_are_cut(gateway: Serving, size: int) -> None:
    with Wire(gateway.url) as wire:
        wire.send(request(without=["upgrade"], more=[("Upgrade", "u" * size)]))
        assert wire.response().status == 426
    assert all(len(line) < 1024 for line in gateway.lines().splitlines())
