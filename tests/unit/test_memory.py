"""What a configuration takes of memory, and that the documents say the same."""

import re
import tomllib
from pathlib import Path

import pytest
from support.production import furnish
from support.production import production as at_a_site

from gateway._native import HEALTH_ROW_BYTES, candle_row_bytes
from gateway.config import Config, assemble
from gateway.memory import (
    CLIENT_BYTES,
    CLIENT_TLS_BYTES,
    FOLLOWED_BYTES,
    FRAME_SPACING_BYTES,
    HEALTH_BYTES,
    HEALTH_TOPICS_MAX,
    LEVEL_BYTES,
    PLACE_BYTES,
    RECORDED_BYTES,
    TOPIC_BYTES,
    estimate,
    words,
)
from gateway.model.record import CANDLES, INTERVALS
from gateway.recorder.books import BYTES_MAX

ROOT = Path(__file__).parents[2]
DEPLOY = (ROOT / "docs/deploy.md").read_text()
SMALL = [
    "ring.capacity_bytes=1048576",
    "plane.log_bytes=8388608",
    "ring.topics_max=1024",
    "ring.book_levels_max=0",
]


def production() -> Config:
    """Its buffers: certificates, keys and who may connect are the site's, and take none."""
    document = tomllib.loads((ROOT / "configs/production.toml").read_text())
    del document["tls"], document["auth"], document["listen"]
    return assemble(document, {})


def total_mb(config: Config) -> str:
    return f"{round(sum(part.bytes for part in estimate(config)) / 1e6)} MB"


def test_the_parts_are_the_whole() -> None:
    config = assemble({}, {}, ["cluster.workers=3"])
    assert [part.name for part in estimate(config)] == [
        "programs",
        "ring",
        "books",
        "frame logs",
    ]
    assert words(config).startswith(f"memory: {total_mb(config)} with all buffers in use (")
    one, three = (
        {part.name: part.bytes for part in estimate(assemble({}, {}, [f"cluster.workers={n}"]))}
        for n in (1, 3)
    )
    assert three["frame logs"] == 3 * one["frame logs"]
    assert three["ring"] == one["ring"]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (assemble({}, {}), "The defaults take up to {}"),
        (production(), "`configs/production.toml` with its four workers {}"),
        (assemble({}, {}, SMALL), "a gateway fits into {}"),
    ],
)
def test_the_figures_of_the_documents(config: Config, text: str) -> None:
    assert text.format(total_mb(config)) in DEPLOY


def test_clients_over_tls_take_more(tmp_path: Path) -> None:
    plain, secure = CLIENT_BYTES // 1000, (CLIENT_BYTES + CLIENT_TLS_BYTES) // 1000
    assert words(assemble({}, {})).endswith(f", and {plain} KB a client")
    furnish(tmp_path)
    config = assemble(at_a_site(tmp_path), {})
    assert words(config).endswith(f", and {secure} KB a client")
    assert f"    clients     {plain} KB each with ten topics, {secure} KB over TLS" in DEPLOY
    most = config.cluster.workers * config.limits.max_connections
    total = sum(part.bytes for part in estimate(config)) + most * secure * 1000
    text = (ROOT / "configs/production.toml").read_text()
    assert f"and {secure} KB a client: {total / 1e9:.1f} GB with {most:,} of them" in text


@pytest.mark.parametrize("intervals", [["1s"], ["1m"], ["1h", "1d"], [*INTERVALS]])
def test_candles(intervals: list[str]) -> None:
    texts = ", ".join(f'"{interval}"' for interval in intervals)
    sets = [f"candles.intervals=[{texts}]", "candles.instruments_max=100"]
    without, parts = estimate(assemble({}, {})), estimate(assemble({}, {}, sets))
    assert parts[-1].name == "candles"
    assert parts[-1].bytes == 100 * candle_row_bytes([CANDLES[one].key for one in intervals])
    assert parts[1].bytes - without[1].bytes == 100 * len(intervals) * TOPIC_BYTES


def test_the_formula_of_the_documents() -> None:
    (bytes_each, health) = re.findall(r"\+ (\d+) bytes x \(ring.topics_max, and ([\d,]+)", DEPLOY)[
        0
    ]
    assert int(bytes_each) == TOPIC_BYTES
    assert HEALTH_BYTES == HEALTH_ROW_BYTES
    assert f"and {HEALTH_BYTES} bytes x ring.topics_max" in DEPLOY
    assert f"books       {LEVEL_BYTES} bytes x ring.book_levels_max" in DEPLOY
    assert f"and {FOLLOWED_BYTES} for each worker" in DEPLOY
    assert f"plane.log_bytes x {PLACE_BYTES / FRAME_SPACING_BYTES:.2f};" in DEPLOY
    assert f"at most {round(RECORDED_BYTES / 1e6)} MB of copies" in DEPLOY
    assert RECORDED_BYTES == BYTES_MAX
    assert int(health.replace(",", "")) == HEALTH_TOPICS_MAX
    text = (ROOT / "configs/production.toml").read_text()
    assert f"All buffers in use it takes {total_mb(production())}," in text
