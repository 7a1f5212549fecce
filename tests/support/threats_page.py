"""Writes docs/threats.md: what may be tried against the gateway, and the tests that defend it.

The words are here; a test says which threat it is about: `@pytest.mark.threat("D3")`, in C a
comment before it, `/* threat D3 */`. Run this after adding such a test. A row without a test names
the work under way that brings its defence.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "threats.md"


class Threat(NamedTuple):
    """A row. `pending`: what brings its defence, while it has no test."""

    threat: str
    defence: str
    pending: str = ""


KINDS = {
    "S": "Spoofing: somebody is taken for somebody else",
    "T": "Tampering: something is changed",
    "R": "Repudiation: nobody can tell who did it",
    "I": "Information disclosure: somebody learns what is not theirs",
    "D": "Denial of service: others are not served",
    "E": "Elevation of privilege: somebody may do more than was granted",
}

PENDING = {
    "nodes": "several gateways as one",
}

THREATS = {
    "S1": Threat("a client says it is another one", "signed tokens, keys, certificates"),
    "S2": Threat(
        "a page of another site connects from a visitor's browser",
        "403: its origin is not in `listen.origins`; cookies count for nothing",
    ),
    "S3": Threat("a client says that it has another address", "only trusted proxies are believed"),
    "S4": Threat(
        "another server takes the gateway's place", "certificates: our clients check them"
    ),
    "S5": Threat(
        "what a client expects to be a gateway is hostile",
        "our clients survive it: bounded memory, no exception that is not theirs",
    ),
    "T1": Threat("bytes are changed on the way", "TLS: the connection ends"),
    "T2": Threat(
        "input of a feed is damaged or malicious",
        "decoded or refused by name; its topic is suspect, nobody else notices",
    ),
    "T3": Threat("a worker that went wrong writes into the ring", "it has the segment read-only"),
    "T4": Threat("a writer dies in the middle of a record", "the record is never delivered"),
    "T5": Threat("a recording is forged or damaged", "refused, or what is sound is shown"),
    "T6": Threat("a value of a client's forges a header", "only names that we know are echoed"),
    "R1": Threat("who connected and had what is not known", "the audit log"),
    "R2": Threat("a value of a client's forges a line of the log", "escaped and cut"),
    "R3": Threat(
        "a refusal leaves no trace", "counted by reason; origins are named in the log, boundedly"
    ),
    "R4": Threat("an overflowing log hides an attack", "what is lost is counted, time is not lost"),
    "I1": Threat("a client asks for what it may not have", "`forbidden`, whether it exists or not"),
    "I2": Threat("a pattern covers what is not granted", "it covers what is granted alone"),
    "I3": Threat("limits and counts tell of what is not granted", "they do not count it"),
    "I4": Threat("live data where delayed data was bought", "a feed of its own"),
    "I5": Threat(
        "somebody listens on the way", "TLS 1.2 and 1.3, with suites of ephemeral keys alone"
    ),
    "I6": Threat(
        "a page that a visitor looks at reads the ops listener",
        "another origin gets neither the channel nor a recording",
    ),
    "I7": Threat(
        "another user of the host reads recordings or a core file",
        "the unit: a state directory of its own, no core files, no other user's processes",
    ),
    "I8": Threat("an answer tells of our insides", "no traceback leaves, nor stands in the log"),
    "I9": Threat(
        "a recording has topics that who downloads it may not have",
        "`recordings` has to be granted by name; a download ends with its right",
    ),
    "D1": Threat("handshakes are dribbled, or never begin", "408 at a total deadline"),
    "D2": Threat("one address opens very many handshakes", "a limit for each address"),
    "D3": Threat("frames announce terabytes", "refused from their header"),
    "D4": Threat("messages come in endless tiny pieces", "1009; a deadline for the whole"),
    "D5": Threat("a flood of pings", "each is answered once; too many are 4029"),
    "D6": Threat("compression bombs", "compression is declined"),
    "D7": Threat("subscriptions without end", "refused by name before any work"),
    "D8": Threat("requests without end", "a rate for each client, and one for all of a worker"),
    "D9": Threat("patterns that cost much, again and again", "a share for all clients together"),
    "D10": Threat(
        "a client never reads", "bounded memory; newer data or 4008; others are as before"
    ),
    "D11": Threat("descriptors run out", "who is there is served; not ready until it is over"),
    "D12": Threat("all clients come at once", "as many as can be served; the others later, apart"),
    "D13": Threat("the ops listener is flooded", "bounded, beside the data"),
    "D14": Threat("a process is killed or hangs", "found and replaced within seconds"),
    "D15": Threat("one tenant's clients crowd out another's", "shares of the plane by weight"),
    "D16": Threat(
        "handshakes of TLS and key updates in floods", "bounds of their own, by address too"
    ),
    "D17": Threat("bytes without end before authentication", "a budget in bytes"),
    "E1": Threat("a parser's mistake runs code", "C under sanitizers; random input kills nothing"),
    "E2": Threat(
        "code that runs in the gateway takes the host",
        "the unit: no capability, read-only files, few system calls, no code made at run time",
    ),
    "E3": Threat("a name becomes a program in an operator's browser", "text only, and a policy"),
    "E4": Threat("a name is evaluated as an expression", "stars alone mean more than themselves"),
    "E5": Threat("a token chooses how it is verified", "one algorithm for each key"),
    "E6": Threat("a local user or a page administers", "a socket that knows its peer"),
    "E7": Threat("a node publishes what is another's", "terms, and who may write what", "nodes"),
}

_C_MARK = re.compile(r"/\* threat (\w+) \*/\nstatic void (\w+)\(")


def marked() -> dict[str, dict[str, list[str]]]:
    """The tests of each threat, by file."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if "mark.threat(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            for row in _rows(node):
                assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                found[row][str(path.relative_to(ROOT))].append(node.name.removeprefix("test_"))
    for path in sorted((ROOT / "native/test").glob("test_*.c")):
        for row, name in _C_MARK.findall(path.read_text()):
            found[row][str(path.relative_to(ROOT))].append(name)
    return found


def _rows(node: ast.AST) -> list[str]:
    return [
        str(argument.value)
        for one in getattr(node, "decorator_list", [])
        if isinstance(one, ast.Call) and ast.unparse(one.func) == "pytest.mark.threat"
        for argument in one.args
        if isinstance(argument, ast.Constant)
    ]


def render() -> str:
    """The page as it should be."""
    tests = marked()
    lines = [
        "# What may be tried",
        "",
        "Threats by STRIDE, what the gateway does, and the tests that show it.",
        "`tests/support/threats_page.py` writes this page from the tests that there are.",
        "[SECURITY.md](../SECURITY.md) says what is trusted, and what is not defended.",
    ]
    for kind, title in KINDS.items():
        lines += ["", f"## {title}", "", "| | threat | defence | shown by |", "|---|---|---|---|"]
        for row, (threat, defence, pending) in THREATS.items():
            if row[0] != kind:
                continue
            shown = "; ".join(
                f"`{path}`: {', '.join(name.replace('_', ' ') for name in names)}"
                for path, names in tests.get(row, {}).items()
            )
            lines.append(f"| {row} | {threat} | {defence} | {shown or f'**pending: {pending}**'} |")
    lines += ["", "Pending, by what brings it:", ""]
    named = {one.pending for row, one in THREATS.items() if row not in tests}
    lines += [f"- {name}: {what}" for name, what in PENDING.items() if name in named]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
