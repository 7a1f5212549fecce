"""Text for a terminal: it obeys control characters whoever sent them, and may know ASCII alone."""

import codecs
import sys
import unicodedata

PLAINER = "tickgate.plainer"
"""The name of how text is written where its encoding has not all of it (`print_anything`)."""

_ASCII = str.maketrans(
    {"±": "+-", "µ": "u", "…": "...", "·": "-", "†": "+", "✓": "ok", "✗": "x"}
    | dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True))  # bars: each level still is its own
    | dict.fromkeys("─━═╌╍╴╶╸╺", "-")
    | dict.fromkeys("│┃║", "|")
)


def print_anything() -> None:
    """From now on what standard output's encoding has not is written plainer, never an error."""
    codecs.register_error(PLAINER, _plainer)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors in ("strict", "backslashreplace"):
            reconfigure(errors=PLAINER)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end].translate(_ASCII)
    return "".join(c if c.isascii() else "?" for c in text), error.end


def plain(text: str) -> str:
    """As wide as before, with a `?` for what is not to be printed: for tables and names."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def padded(text: str, columns: int) -> str:
    """With spaces up to so many columns of a terminal, where an ideograph takes two."""
    wide = 0 if text.isascii() else sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return text + " " * (columns - len(text) - wide)


def escaped(text: str) -> str:
    """With an escape for what is not to be printed: where it matters what it was."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
