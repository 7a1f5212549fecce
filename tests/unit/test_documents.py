"""Limits and versions that documents name are those of the code."""

from pathlib import Path

import pytest

from gateway._native import DECIMALS_MAX, DIGITS_MAX, EXPONENT_MAX, ID_MAX, REASON_MAX
from gateway.model.topic import SYMBOL_MAX
from gateway.recording import MAGIC, RECORD_BYTES, VERSION

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("protocol.md", f"{DIGITS_MAX} significant digits"),
        ("protocol.md", f"more than {DIGITS_MAX} digits"),
        ("protocol.md", f"{DECIMALS_MAX} digits after the point"),
        ("protocol.md", f"exponent is -{EXPONENT_MAX} to {EXPONENT_MAX}"),
        ("protocol.md", f"`id` is at most {ID_MAX} characters"),
        ("protocol.md", f"SYMBOL: 1 to {SYMBOL_MAX} bytes"),
        ("protocol.md", f"field and why, in at most {REASON_MAX} characters"),
        ("recorder.md", f"{MAGIC.hex(' ')}` ("),
        ("recorder.md", f"version (u32, {VERSION})"),
        ("recorder.md", f"records of {RECORD_BYTES} bytes"),
    ],
)
def test_what_a_page_says_is_so(page: str, text: str) -> None:
    assert text in (DOCS / page).read_text()
