"""No leak of rights: random clients on a real data plane, and a canary in every topic.

A case is one connection, every third over TLS, those with the ticket of one before: random rights,
requests of every kind, other rights in the middle, records all the time. Every byte that its socket
gets, decrypted, is looked through for names and values of topics that it may not have; counts and
lists are held against a naive reading of the rules.

`python -m support.leaks 10000 [SEED]` in tests/ runs so many.
"""

import json
import random
import re
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from gateway._native import (
    EVENT_FORBIDDEN,
    EVENT_REMOVED,
    EVENT_STATS,
    STATS_SIZE,
    Plane,
    RingWriter,
    StatsPage,
    TlsConnection,
    TlsContext,
    create_memory,
)
from gateway.codec.formats import JSON, LOCALS, SBE, programs
from gateway.identity.entry import Entry, Rule, convert
from gateway.identity.grants import Granted
from gateway.identity.rights import Rights, rights
from gateway.model.encoding import Encoding
from gateway.model.topic import match_pattern
from gateway.server.catalog import Catalog
from gateway.session import Capacity, Load, Options, Session, Shared, regrant
from gateway.session.access import Access, Admitted, Rejected
from gateway.session.actions import (
    Action,
    Close,
    Query,
    Regrant,
    Reply,
    Review,
    Subscribe,
    Unsubscribe,
)
from support.certificates import Authority

VENUES = ("AAA", "BBB")
CHANNELS = ("trade", "bbo")
ENCODINGS: tuple[Encoding, ...] = ("json", "sbe")
SYMBOLS = tuple(f"{a}{b}x{n}" for a in "QZ" for b in "JK" for n in range(4))
PATTERNS = ("*", "*.AAA", "*.BBB", "Q*", "Z*", "*J*", "*x1.*", "QJ*.AAA", "*K*x*.BBB", "none*")
BASE = 923_456_789_000
TIMEOUT_S, NEVER_NS = 20.0, 10**14
"""Of CPU time, since all that waits here polls; and no client is closed while its host is busy."""


def canary(channel: str, name: str) -> int:
    """A number that no other topic has, and nothing else."""
    place = NAMES.index(name) * 2 + CHANNELS.index(channel)
    return BASE + place * 7_919


NAMES = tuple(f"{symbol}.{venue}" for symbol in SYMBOLS for venue in VENUES)
TOPICS = tuple((channel, name) for channel in CHANNELS for name in NAMES)


class Market:
    """A ring and a plane that all cases share; half of the names have no topic at first."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.stats = StatsPage(create_memory("stats", STATS_SIZE), writable=True)
        self.seen = 0  # canaries of what may be had
        self.plane = Plane(
            formats=[programs(JSON), programs(SBE)], locals=LOCALS, stats=self.stats,
            log_bytes=8 << 20, lossless_max_age_ns=NEVER_NS,
            stall_max_ns=NEVER_NS, paced_stall_max_ns=NEVER_NS,
        )  # fmt: skip
        self.plane.start()
        self.writer = RingWriter(1 << 20, 256)
        self.plane.attach(self.writer.fd)
        self.catalog = Catalog(dict.fromkeys(VENUES))
        self.catalog.follow(self.writer.fd)
        self.topics: dict[tuple[str, str], int] = {}
        self.numbers = 0
        self.cases: dict[int, Case] = {}
        capacity = Capacity(Load, target_ns=1, enforce=False)
        much = 10**6
        options = Options(
            version="0", requests_per_s=much, requests_burst=much, errors_per_minute=much
        )
        self.shared = Shared(options, capacity)
        self.grants: dict[int, Rights] = {}
        self.reviews: list[Case] = []
        self.secure = Secure()
        self.count = 0
        self.publish(0.5)

    def publish(self, share: float) -> None:
        """A record of some topics; one that there is not yet may come to be."""
        rows: list[Any] = []
        for topic in TOPICS:
            if self.random.random() >= share:
                continue
            if topic not in self.topics:
                if len(self.topics) >= len(TOPICS) // 2 and self.random.random() < 0.9:
                    continue
                self.topics[topic] = self.writer.topic(*topic)
            channel, value = topic[0], str(canary(*topic))
            if channel == "trade":
                rows.append((self.topics[topic], 1, value, value, "buy", value))
            else:
                rows.append((self.topics[topic], 1, value, value, value, value))
        if rows:
            self.writer.publish(rows, time.time_ns(), time.monotonic_ns())

    def load(self, mine: Rights) -> None:
        """Gives rights a number of the plane's that nobody has."""
        for number in range(1, 200):
            held = any(case.rights is self.grants.get(number) for case in self.cases.values())
            if number in self.grants and held:
                continue
            try:
                self.plane.grant(number, mine.rules, mine.topics_max or 0)
            except ValueError:
                continue
            mine.number = number
            self.grants[number] = mine
            return
        raise AssertionError("no grant is free")

    def events(self) -> None:
        """Hands the plane's events to their cases, and each the step that it has asked for."""
        waiting, self.reviews = self.reviews, []
        for case in waiting:
            if case.handle in self.cases:
                case.act(case.session.review())
        for event in self.plane.events():
            case = self.cases.get(event[1])  # type: ignore[call-overload]
            if case is None:
                continue
            if event[0] == EVENT_FORBIDDEN:
                case.act(case.session.forbidden(event[2]))
            elif event[0] == EVENT_STATS:
                case.act([case.session.stats(event[2], event[3])])
            elif event[0] == EVENT_REMOVED:
                case.gone = True

    def close(self) -> None:
        self.plane.stop()
        self.writer.close()
        self.secure.close()


class Secure:
    """A server's certificate, and clients that trust it and come back with their last ticket."""

    def __init__(self) -> None:
        self._files = TemporaryDirectory()
        authority = Authority(Path(self._files.name))
        self.server = TlsContext("listen", *authority.sign("server", "DNS:localhost"))
        self.client = authority.client()
        self.ticket: ssl.SSLSession | None = None
        self.handshakes = self.resumed = 0

    def close(self) -> None:
        self._files.cleanup()


class Decrypted:
    """A client's end of TLS."""

    def __init__(self, secure: Secure, ours: socket.socket) -> None:
        self._secure = secure
        self._ours = ours
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        bios = (self._came, self._goes)
        self._tls = secure.client.wrap_bio(*bios, False, "localhost", secure.ticket)
        secure.ticket = None

    def shake(self, theirs: socket.socket) -> TlsConnection:
        """The server's end, the handshake being through."""
        server, up = TlsConnection(self._secure.server, theirs.fileno()), False
        until_s = time.process_time() + TIMEOUT_S
        while not up:
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            if said := self._goes.read():
                self._ours.sendall(said)
            up = server.handshake()
            if said := server.take_said():
                theirs.sendall(said)
            with suppress(BlockingIOError):
                self._came.write(self._ours.recv(65536))
            assert time.process_time() < until_s, "no handshake"
        self._secure.handshakes += 1
        self._secure.resumed += server.resumed
        return server

    def take(self, data: bytes) -> bytes:
        """What it says."""
        self._came.write(data)
        plain = bytearray()
        with suppress(ssl.SSLWantReadError):
            while more := self._tls.read(65536):
                plain += more
        return bytes(plain)

    def end(self) -> None:
        """Keeps its ticket for the next one."""
        self._secure.ticket = self._tls.session


class NoDoor:
    """Nobody says anything more of themselves."""

    def authenticate(self, token: str, *, mono_ns: int, real_ns: int) -> Admitted | Rejected:
        raise AssertionError(token)

    def end(self) -> None:
        """Nothing is kept."""


def random_rules(chance: random.Random) -> tuple[Rule, ...]:
    rules = []
    for _ in range(chance.randint(0, 3)):
        instruments = [
            chance.choice(PATTERNS) if chance.random() < 0.6 else chance.choice(NAMES)
            for _ in range(chance.randint(1, 3))
        ]
        channels = chance.choice((["trade"], ["bbo"], ["trade", "bbo"], ["*"]))
        rule: dict[str, Any] = {"channels": channels, "instruments": instruments}
        if chance.random() < 0.3:
            rule["max_hz"] = chance.choice((100, 1000))
        if chance.random() < 0.2:
            rule["encodings"] = [chance.choice(ENCODINGS)]
        rules.append(rule)
    found: Entry = convert({"grants": rules}, Entry)
    return found.grants or ()


def naive(lists: Iterable[Iterable[Rule]], encoding: str, channel: str, name: str) -> bool:
    """Whether the rules grant a topic, as they are meant to be read."""
    return all(
        any(
            (rule.encodings is None or encoding in rule.encodings)
            and ("*" in rule.channels or channel in rule.channels)
            and any(match_pattern(text, name) for text in rule.instruments)
            for rule in rules
        )
        for rules in lists
    )


class Case:
    """One connection."""

    def __init__(self, market: Market) -> None:
        self.market, chance = market, market.random
        self.encoding = chance.choice(ENCODINGS)
        self.gone = False
        self.stream = bytearray()
        self.markers = 0
        self.may: set[tuple[str, str]] = set()
        self.ours, theirs = socket.socketpair()
        self.theirs = theirs
        if chance.random() < 0.3:  # a slow one: much waits for it
            for one in (self.ours, theirs):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.ours.setblocking(False)
        theirs.setblocking(False)
        self.rights = self.draw()
        self.may = set(self.allowed)
        self.access = Access(NoDoor(), self.rights)
        self.session = Session("c", market.catalog, market.shared, self.access)
        market.count += 1
        self.tls = None if market.count % 3 else Decrypted(market.secure, self.ours)
        server = None if self.tls is None else self.tls.shake(theirs)
        self.handle = market.plane.add(
            theirs.fileno(), b"", b"{}", format=ENCODINGS.index(self.encoding),
            grant=self.rights.number, tls=server,
        )  # fmt: skip
        market.cases[self.handle] = self

    def draw(self) -> Rights:
        """Other rights; `may` has what they grant."""
        chance = self.market.random
        lists = [random_rules(chance) for _ in range(chance.choice((1, 1, 2)))]
        self.lists = lists
        granted = Granted(tuple(lists), None, chance.choice((None, None, 5)), None)
        mine = rights(granted, self.encoding)
        self.market.load(mine)
        self.allowed = {topic for topic in TOPICS if naive(lists, self.encoding, *topic)}
        return mine

    # --- what a connection does -------------------------------------------------------------------

    def act(self, actions: Iterable[Action]) -> None:
        plane, handle = self.market.plane, self.handle
        for action in actions:
            match action:
                case Reply(payload, slots):
                    plane.send(handle, payload, slots)
                case Subscribe(payload, slots, items):
                    plane.subscribe(handle, payload or None, slots, items)
                case Unsubscribe(payload, slots, ids):
                    plane.unsubscribe(handle, payload or None, slots, ids)
                case Regrant(payload, slots, grant):
                    plane.regrant(handle, grant, payload or None, slots)
                case Review():
                    self.market.reviews.append(self)
                case Query(token):
                    plane.query(handle, token)
                case _:
                    assert not isinstance(action, Close), action

    def ask(self) -> None:
        """A random request."""
        chance = self.market.random
        method = chance.choice(("subscribe",) * 4 + ("update", "unsubscribe", "list", "stats"))
        request: dict[str, Any] = {"method": method, "req_id": 1}
        strings = [
            chance.choice(PATTERNS) if chance.random() < 0.5 else chance.choice(NAMES)
            for _ in range(chance.randint(1, 3))
        ]
        params: dict[str, Any] = {"channel": chance.choice(CHANNELS), "symbol": strings}
        if method == "subscribe":
            params |= chance.choice(({}, {"mode": "lossless"}, {"max_hz": 1000}, {"class": 2}))
            params.pop("max_hz", None) if params.get("mode") == "lossless" else None
            if chance.random() < 0.3:
                params["from"] = {"ts": time.time_ns() - 10**9}
            if chance.random() < 0.1:
                params = {"channel": chance.choice(("slo", "health")), "symbol": ["*"]}
        elif method == "update":
            params["max_hz"] = 500
        if method == "list" and chance.random() < 0.5:
            params = {"symbol": strings}
        if method != "stats":
            request["params"] = params
        now = {"mono_ns": time.monotonic_ns(), "real_ns": time.time_ns()}
        self.act(self.session.receive(json.dumps(request), **now))

    def regrant(self) -> None:
        """Other rights; from the marker on nothing else may come."""
        before = set(self.allowed)
        mine = self.draw()
        self.may = before | self.allowed  # until the marker
        self.act(self.session.regranted(mine))
        self.rights = mine
        self.marker()

    def marker(self) -> None:
        self.markers += 1
        self.market.plane.send(self.handle, b'{"marker":%d}' % self.markers)

    def read(self) -> None:
        try:
            while data := self.ours.recv(65536):
                self.stream += data if self.tls is None else self.tls.take(data)
        except BlockingIOError:
            pass

    def settle(self) -> None:
        """Reads until the last marker has come; judges what came before."""
        mark = b'{"marker":%d}' % self.markers
        until_s = time.process_time() + TIMEOUT_S
        while mark not in self.stream:
            self.market.events()
            self.read()
            assert time.process_time() < until_s, "no marker"
        at = self.stream.index(mark)
        self.judge(bytes(self.stream[: at - 2]), self.may)  # the marker's own head has two bytes
        del self.stream[: at + len(mark)]
        self.may = set(self.allowed)

    def judge(self, data: bytes, may: set[tuple[str, str]]) -> None:
        """No byte of a topic that it may not have; no count and no list of more than it may."""
        names = {name for _, name in may}
        for topic in TOPICS:
            number = canary(*topic)
            forms = (str(number).encode(), struct.pack("<q", number))
            there = any(form in data for form in forms)
            self.market.seen += there
            assert topic in may or not there, (topic, self.lists)
        for opcode, payload in frames(data):
            if opcode == 1:
                self.judge_text(payload, names, may)
            elif opcode == 2:
                told = [name for name in NAMES if name.encode() in payload]
                assert names.issuperset(told), (told, self.lists)

    def judge_text(self, text: bytes, names: set[str], may: set[tuple[str, str]]) -> None:
        """Names stand only where the client has said them, or may have them."""
        message = json.loads(text)
        for one in message.get("instruments", ()):
            assert one["symbol"] in names, one
            assert all((c, one["symbol"]) in may for c in one["channels"]), one
        for result in message.get("results", ()):
            if "matched" in result:
                covered = {t for t in may if match_pattern(result["symbol"], t[1])}
                limit = sum(channel == result["channel"] for channel, _ in covered)
                assert result["matched"] <= limit, (result, limit)
            if "error" in result and result["error"]["code"] != "not_subscribed":
                assert result["error"]["code"] in ("forbidden", "limit_exceeded"), result
                why: str = result["error"]["message"]
                if result["error"]["code"] == "forbidden":
                    assert why == "not granted"
                elif more := re.search("and ([0-9]+) more", why):
                    named = [c for c, name in may if match_pattern(result["symbol"], name)]
                    assert int(more[1]) <= max(map(named.count, CHANNELS)), (why, result)
        if "symbol" in message:  # data
            assert (message["channel"], message["symbol"]) in may, message
        if message.get("type") in ("gap", "retired"):
            assert all(one["symbol"] in names for one in message["data"]), message

    def end(self) -> None:
        self.marker()
        self.settle()
        self.market.plane.remove(self.handle)
        until_s = time.process_time() + TIMEOUT_S
        while not self.gone:
            self.market.events()
            assert time.process_time() < until_s, "it never went"
        del self.market.cases[self.handle]
        self.session.end()
        if self.tls is not None:
            self.tls.end()
        self.ours.close()
        self.theirs.close()


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of a stream of whole frames."""
    at = 0
    while at < len(data):
        opcode, length = data[at] & 15, data[at + 1]
        at += 2
        if length == 126:
            length = int.from_bytes(data[at : at + 2], "big")
            at += 2
        elif length == 127:
            length = int.from_bytes(data[at : at + 8], "big")
            at += 8
        payload = data[at : at + length]
        at += length
        assert len(payload) == length
        yield opcode, payload


def run(count: int, seed: int) -> int:
    """So many cases, some at a time; how many regrants there were. Reviews have many steps."""
    with mock.patch.object(regrant, "STEP_UNITS", 2):
        return _run(Market(seed), count)


def _run(market: Market, count: int) -> int:
    chance, regrants, left = market.random, 0, count
    try:
        while left > 0 or market.cases:
            while left > 0 and len(market.cases) < 4:
                Case(market)
                left -= 1
            for case in list(market.cases.values()):
                for _ in range(chance.randint(1, 4)):
                    case.ask()
                    if chance.random() < 0.5:
                        market.publish(0.3)
                if chance.random() < 0.6:
                    case.regrant()
                    regrants += 1
                    market.publish(0.3)
                    case.settle()
                market.events()
                if chance.random() < 0.3:
                    case.end()
    finally:
        market.close()
    assert market.seen >= count // 4, "nothing came that could have leaked"
    assert market.secure.handshakes == count // 3
    assert market.secure.resumed >= count // 12, "nobody came back with a ticket"
    return regrants


if __name__ == "__main__":
    number, first = (*map(int, sys.argv[1:3]), *(10_000, 1)[len(sys.argv) - 1 :])
    done = run(number, first)
    print(f"{number} connections, a third over TLS, {done} changes of rights: no leak")
