"""Books of a real venue: Kraken's capture as our frames, with the checksums that it sent."""

import io
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard

CAPTURE = "kraken/KRAKEN.jsonl.zst"


def frames(path: Path) -> Iterator[dict[str, Any]]:
    """The captured books as a gateway would send them: each message is a frame."""
    seqs: Counter[str] = Counter()
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        assert isinstance(lines, io.TextIOBase)
        for line in lines:
            message = json.loads(json.loads(line).get("data") or "null")
            if not isinstance(message, list) or not message[-2].startswith("book-"):
                continue
            _, *changes, channel, pair = message
            found = {name: value for change in changes for name, value in change.items()}
            seqs[pair] += 1
            row = {
                "bids": levels(found.get("bs") or found.get("b")),
                "asks": levels(found.get("as") or found.get("a")),
                "depth": int(channel.removeprefix("book-")),
            }
            if "c" in found:
                row["checksum"] = int(found["c"])
            yield {
                "channel": "book",
                "type": "snapshot" if "as" in found else "update",
                "symbol": f"{pair}.KRAKEN",
                "seq": seqs[pair],
                "data": [row],
            }


def levels(rows: list[list[str]] | None) -> list[list[str]]:
    """Price and quantity, without the venue's times."""
    return [row[:2] for row in rows or []]


def read(package: Path, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the client makes of them."""
    text = "\n".join(map(json.dumps, messages))
    done = subprocess.run(
        ["node", "build/test/books.js"],
        cwd=package,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_each_sum_is_the_venue_s(package: Path, capture: Callable[[str], Path]) -> None:
    messages = list(frames(capture(CAPTURE)))
    sums = sum("checksum" in message["data"][0] for message in messages)
    assert sums > 4000
    seen = read(package, messages)
    assert seen["kinds"] == {"book": len(messages)}
    assert seen["mismatches"] == 0
    assert seen["ready"] == len({message["symbol"] for message in messages})


def test_one_level_left_out_is_noticed(package: Path, capture: Callable[[str], Path]) -> None:
    messages = list(frames(capture(CAPTURE)))
    snapshot = next(one for one in messages if one["symbol"] == "XMR/USD.KRAKEN")
    del snapshot["data"][0]["asks"][0]
    seen = read(package, messages)
    assert seen["mismatches"] == 1, "from then on it waits for a snapshot"
    assert seen["gaps"] == [["XMR/USD.KRAKEN", "checksum"]]
