"""Writes docs/faults.md: what must happen to each fault, and the tests that show it.

The words are here; the tests are found by the row's number in their names (`test_f14_...`, in C
`f14_...`), and by an advisory's number in their docstrings. Run it after adding such a test.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"

# number: (the fault, what must happen)
ROWS = {
    1: ("headers dribbled", "408 at a total deadline, and hung up on whether it leaves or not"),
    2: ("a connection that says nothing", "the same; so many at once from one address, then 429"),
    3: ("TLS hello, binary, another protocol", "closed at the deadline at the latest"),
    4: ("too many headers, too long ones, a long path", "431 or 414 from the first byte too many"),
    5: ("not quite a request", "400, 405, 426 or 505; frames right behind a good one are obeyed"),
    6: ("another path, however it is written", "404"),
    7: ("an origin that is not allowed", "403 that names it, and a line in the log"),
    8: ("a page of somebody else's brings a cookie", "it counts for nothing"),
    9: ("tokens whose header chooses how they are verified", "401, or `unauthorized` and 4500"),
    10: ("tokens that say too little, too much or something else", "401: decoded strictly"),
    11: ("a token expires during a session", "`auth_expiring` 60 s before, 4001 within a second"),
    12: ("tokens revoked, grants changed", "closed or purged within a second, and told"),
    13: ("a key set that can't be fetched", "the last good one until its age, then closed"),
    14: ("unmasked frame", "1002"),
    15: ("reserved bits", "1002"),
    16: ("reserved opcode", "1002"),
    17: ("long or fragmented control frame", "1002"),
    18: ("fragments out of order", "1002"),
    19: ("a length of terabytes, or with its top bit set", "1009 from the header alone"),
    20: ("a length in more bytes than needed", "accepted: it is unambiguous"),
    21: ("message too large", "1009, before its bytes are taken"),
    22: ("endless tiny fragments", "1009"),
    23: ("a message held open", "1008 at its deadline, also behind a whole one"),
    24: ("text that is no UTF-8", "1007, as soon as that is certain"),
    25: ("bad close frames", "1002 or 1007; good ones are echoed"),
    26: ("data after close, and clients that never hang up", "ignored; cut off at a deadline"),
    27: ("flood of control frames", "each ping is answered once; too many a second are 4029"),
    28: ("compression offered", "declined: one frame is the same for all"),
    29: ("malformed offers of compression", "declined, or 400"),
    30: ("a compressed frame all the same", "1002: nothing is ever inflated"),
    31: ("text that is no request", "`bad_request` with its `req_id`; ten in a minute are 4502"),
    32: ("binary frame", "1003"),
    33: ("asking for too much", "refused by name before any work"),
    34: ("asking too often", "`rate_limited` with when to retry; a flood is 4029"),
    35: (
        "a crowd at the door",
        "nobody is refused who could be served; who is, is told why and when to come back,"
        " each at another moment",
    ),
    36: ("a client that never reads", "newer data instead of older, or 4008; memory is bounded"),
    37: ("a client that reads a byte now and then", "the same: it is judged by age"),
    38: ("some slow clients among many", "the others miss nothing"),
    39: ("a client that is gone without a word", "4012 after a ping that nobody answers"),
    40: ("reset and partial writes", "no torn frame; counted once; every record accounted for"),
    41: ("feed disconnects", "reconnects with backoff and jitter; seen in `tickgate_feed_up`"),
    42: ("feed has a gap", "counted, and told to subscribers"),
    43: ("duplicates and disorder of a feed", "dropped and counted"),
    44: ("malformed input of a feed", "counted and skipped, never fatal"),
    45: ("event times that jump", "sent unshifted; counted; latency is of the monotonic clock"),
    46: ("the host's clock is stepped", "named, with its sign; timers do not notice"),
    47: ("feed bursts", "conflation where allowed; nothing lost where not"),
    48: ("a worker is lapped by the ring", "it knows, resyncs, and tells its clients"),
    49: ("a writer killed in the middle of a record", "retried, then skipped; never delivered"),
    50: ("a process killed or hung", "restarted with backoff; the others go on"),
    51: ("supervisor killed", "children drain and exit; nothing is left"),
    53: ("SIGTERM under load", "`shutdown`, 1012, exit 0; a second one ends at once"),
    54: ("descriptors run out", "who is there is served; not ready; all come in afterwards"),
    55: (
        "memory runs out",
        "exit 69 at the start; later who needed it is let go, and the others are served."
        " Nothing is shed by class before it runs out",
    ),
    56: ("log pipe blocked, disk full", "lines are lost and counted, time is not"),
    57: ("scrape flood, slow scraper", "bounded, and beside the data"),
    58: ("values that would split a response", "only names that we know are echoed"),
    59: ("values that would forge a log line", "escaped and cut"),
    60: (
        "a client that says where it is as a proxy would",
        "only trusted proxies are believed; what is malformed is ignored, or refused",
    ),
    61: ("mistakes in the configuration", "all listed at once, exit 78; a busy port is 69"),
    62: ("a pause of our own", "seen in the loop's lag and named; no client is blamed for it"),
    63: ("names that would be markup on a page", "text only, and a content security policy"),
    64: ("random frames and messages", "no crash, no leak"),
    65: ("a long soak with churn", "memory and descriptors stay flat"),
    66: (
        "input that is refused",
        "one bounded line with field, value and limit; its topic is suspect, its subscribers told;"
        " a feed that only refuses is failing",
    ),
    67: (
        "costly patterns, subscribed and unsubscribed without end",
        "a share of the plane and the loop, for all clients together; then `rate_limited`",
    ),
    68: ("thousands of topics, a new segment or a lap, under many patterns", "bound in slices"),
    69: ("many who catch up or leave at once", "a bounded part of each turn"),
    70: (
        "names that no topic has fill the waiting table",
        "a share for each connection; who is refused is told in the result",
    ),
    71: (
        "the table of topics is full; instruments end",
        "seen by the operator and by who wants more; places are used again",
    ),
    72: ("a host that gives too little", "exit 69 with what and the cure; no crash loop"),
    73: ("signals of every kind", "reload, reopen the log, drain; the others are told"),
    74: (
        "HEAD, OPTIONS, bodies, whole URIs on the ops listener",
        "answered, each within its deadline",
    ),
    75: (
        "TLS: dribbled hellos, floods of handshakes and key updates, short writes, others' tickets",
        "bounded memory; 1008; what is sealed leaves as it is; refused; a reload drops nobody",
    ),
    76: (
        "grants changed while replays, snapshots and marks wait",
        "nothing of what is withdrawn is sent from then on",
    ),
    77: ("a frame larger than the room for it", "sent alone, or rendered in parts"),
    79: ("loss over a reconnect of our own client", "recovered, or a gap with exact numbers"),
    80: ("all clients of a worker that ends", "each is told a moment of its own to come back"),
}

PENDING = {
    "nodes": (52, 78),
}
"""Rows that have no test yet, by the work under way that brings them."""

_ROW = re.compile(r"test[_ ]f(\d\d)[_ ](.+)")
_C_TEST = re.compile(r"^static void (f\d\d_\w+)\(void\) \{", re.MULTILINE)
_ADVISORY = re.compile(r"CVE-\d{4}-\d+|GHSA(?:-\w{4}){3}")


class Test(NamedTuple):
    """One that bears a row's number: its file, its name as Python writes it, its docstring."""

    path: str
    name: str
    words: str


@cache
def functions() -> list[Test]:
    """Every test that bears a row's number."""
    python = [
        Test(str(path.relative_to(TESTS)), node.name, ast.get_docstring(node) or "")
        for path in sorted(TESTS.rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _ROW.match(node.name)
    ]
    core = [
        Test(f"../native/test/{path.name}", f"test_{name}", "")
        for path in sorted((TESTS.parent / "native/test").glob("test_*.c"))
        for name in _C_TEST.findall(path.read_text())
    ]
    return python + core


def render() -> str:
    """The page as it should be.

    Raises:
        KeyError: a test bears a number that has no row.
    """
    shown: dict[int, dict[str, list[str]]] = {row: defaultdict(list) for row in ROWS}
    advisories: dict[str, set[str]] = defaultdict(set)
    for path, bears, words in functions():
        number, name = _ROW.findall(bears.replace("_", " "))[0]
        shown[int(number)][path].append(name)
        for advisory in _ADVISORY.findall(words):
            advisories[advisory].add(f"`{path}` {name}")
    lines = [
        "# Faults and bad input",
        "",
        "What must happen, and the tests that show it: their names bear the row's number.",
        "`tests/support/faults_page.py` writes this page from the tests that there are.",
    ]
    for row, (fault, must) in ROWS.items():
        if shown[row]:
            lines += ["", f"**{row}. {fault}**: {must}.", ""]
            lines += [f"- `{path}`: {', '.join(names)}" for path, names in shown[row].items()]
    lines += ["", "## Pending", "", "Rows without a test yet, by what brings them:", ""]
    lines += [f"- {what}: {', '.join(map(str, rows))}" for what, rows in PENDING.items()]
    lines += ["", "## Other people's advisories", ""]
    lines += [f"- {one}: {', '.join(sorted(where))}" for one, where in sorted(advisories.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
