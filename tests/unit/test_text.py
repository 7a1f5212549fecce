import io
import sys

import pytest

from gateway.text import escaped, plain, print_anything

HOSTILE = "a\x1b[2J\x9b1mb\n\u202ec é 値"


def test_nothing_is_left_that_a_terminal_obeys() -> None:
    assert plain(HOSTILE) == "a?[2J?1mb??c é 値"
    assert escaped(HOSTILE) == r"a\x1b[2J\x9b1mb\n\u202ec é 値"
    assert plain(HOSTILE).isprintable()
    assert escaped(HOSTILE).isprintable()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "0.312+-0.085ms | ._-=# 5 us ? ?\n"),
        ("latin-1", "0.312±0.085ms | ._-=# 5 µs ? ?\n"),
        ("utf-8", "0.312±0.085ms │ ▂▁▃▄█ 5 µs 値 \u2028\n"),
    ],
)
def test_what_an_encoding_has_not_is_written_plainer(
    encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, errors in (("stdout", "strict"), ("stderr", "backslashreplace")):  # as Python has it
        sink = io.BytesIO()
        stream = io.TextIOWrapper(sink, encoding=encoding, errors=errors, write_through=True)
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, stream)
            print_anything()
        print("0.312±0.085ms │ ▂▁▃▄█ 5 µs 値 \u2028", file=stream)
        assert sink.getvalue().decode(encoding) == shown
