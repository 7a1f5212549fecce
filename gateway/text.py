"""Text from outside for a terminal, which obeys control characters whoever sent them."""


def plain(text: str) -> str:
    """As wide as before, with a `?` for what is not to be printed: for tables and names."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def escaped(text: str) -> str:
    """With an escape for what is not to be printed: where it matters what it was."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
