from gateway.text import escaped, plain

HOSTILE = "a\x1b[2J\x9b1mb\n\u202ec é 値"


def test_nothing_is_left_that_a_terminal_obeys() -> None:
    assert plain(HOSTILE) == "a?[2J?1mb??c é 値"
    assert escaped(HOSTILE) == r"a\x1b[2J\x9b1mb\n\u202ec é 値"
    assert plain(HOSTILE).isprintable()
    assert escaped(HOSTILE).isprintable()
