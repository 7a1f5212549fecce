"""Documents of TOML as configurations: taken or refused with problems in words, and what is taken
is the same when it is written out and read again.
"""

import tomllib
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Final

from gateway.config import assemble, to_toml
from gateway.errors import ConfigurationError, Problem

JSON_AT: Final = None
_DEFAULT: Final = (Path(__file__).parents[2] / "configs" / "default.toml").read_bytes()
_LINES: Final = [line.partition(b"#")[0].strip() for line in _DEFAULT.splitlines()]
TOKENS: Final = [
    *(line + b"\n" for line in dict.fromkeys(_LINES) if line),
    *(line.partition(b"=")[0].strip() for line in dict.fromkeys(_LINES) if b"=" in line),
    *b"""
        "udp" "replay" "synthetic" "sbe" true [] {} {a=1} "" 'x' 1979-05-27 nan inf -inf 0x10 1_000
    """.split(),
    *(b"[[feeds]]\n", b"[a.b]\n", b'"""'),
]
SEEDS: Final = [
    b"".join(line + b"\n" for line in _LINES if line)[:3500],
    b'[[feeds]]\ntype="udp"\nport=9700\nvenue="SIM"\n[listen]\nport=8765\norigins=["http://a.test:*"]\n',
    b'[[feeds]]\ntype="replay"\npath="a.jsonl"\nformat="binance"\nspeed=0\n[slo]\ntarget_us=500\n',
    b'[[feeds]]\ntype="synthetic"\nsymbols=5\nseed=7\n[cluster]\nworkers=2\n[plane]\nwait="spin"\ncpu=1\n',
    b'[candles]\nintervals=["1s","1m"]\n[limits]\nmessage_bytes=300\n[log]\nformat="json"\n',
]


def run(data: bytes) -> Iterable[Hashable]:
    try:
        document = tomllib.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ()  # the library's word
    try:
        config = assemble(document, {}, [], origin="fuzz")
    except ConfigurationError as error:
        return _told(error.problems)
    assert assemble(tomllib.loads(to_toml(config)), {}, []) == config
    return ("taken",)


def _told(problems: Sequence[Problem]) -> Iterable[Hashable]:
    texts = [str(problem) for problem in problems]
    assert texts
    assert all(len(text) < 2000 and text.isprintable() for text in texts), texts
    return [problem.message.partition("expected")[2][:20] for problem in problems]
