"""Messages that are damaged somewhere, and what a decoder may do with them."""

import contextlib
from collections.abc import Callable, Iterable

from hypothesis import strategies as st


def damaged(*messages: bytes) -> st.SearchStrategy[bytes]:
    """One of the messages with up to three bytes put in, and up to four cut out, at one place."""

    def damage(message: bytes, at: int, put: bytes, cut: int) -> bytes:
        return message[:at] + put + message[at + cut :]

    return st.builds(
        damage,
        st.sampled_from(messages),
        st.integers(0, 500),
        st.binary(max_size=3),
        st.integers(0, 4),
    )


def taken_or_refused(decode: Callable[[bytes], object], payloads: Iterable[bytes]) -> None:
    """A decoder gives values or raises ValueError, and nothing else, whatever came before."""
    for payload in payloads:
        with contextlib.suppress(ValueError):
            decode(payload)
