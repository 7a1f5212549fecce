"""One connection to a venue by a manual clock: what it sends when, and what its silence means."""

import json

import pytest

from gateway.feeds.live.binance import FACTS, Binance
from gateway.feeds.live.session import Session, Verdict

FACTS_NOW = FACTS["spot"]._replace(
    batch_max=2,
    messages_per_s=2.0,
    ping_s=10.0,
    reply_s=5.0,
    first_data_s=20.0,
    stall_s=60.0,
    age_s=1000.0,
)
STREAMS = ("a@trade", "b@trade", "c@trade")


class Clocked:
    """A session, and a clock that the test turns."""

    def __init__(self, patience: float = 1.0) -> None:
        self.venue = Binance("spot", ("trade",))
        self.venue.facts = FACTS_NOW
        self.now_s = 100.0
        self.session = Session(self.venue, STREAMS, self.now_s, patience)

    def due(self) -> list[object]:
        return [json.loads(text) for text in self.session.due(self.now_s)]

    def reply(self, number: object, **more: object) -> None:
        payload = json.dumps({"result": None, "id": number} | more).encode()
        self.session.control(payload, self.now_s)

    def pass_s(self, seconds: float, *, heard: bool = True) -> Verdict | None:
        self.now_s += seconds
        if heard:
            self.session.heard(self.now_s)
        return self.session.verdict(self.now_s)

    def confirm(self) -> None:
        while not self.session.confirmed:
            for asked in self.due():
                assert isinstance(asked, dict)
                self.reply(asked["id"])
            self.now_s += 0.5


@pytest.fixture
def clocked() -> Clocked:
    return Clocked()


def test_batches_go_at_the_venues_pace(clocked: Clocked) -> None:
    first = {"method": "SUBSCRIBE", "params": ["a@trade", "b@trade"], "id": 1}
    assert clocked.due() == [first]
    assert clocked.due() == []
    assert clocked.pass_s(0.49) is None
    assert clocked.due() == []
    assert clocked.pass_s(0.02) is None
    assert clocked.due() == [{"method": "SUBSCRIBE", "params": ["c@trade"], "id": 2}]
    clocked.reply(2)
    assert not clocked.session.confirmed
    clocked.reply(1)
    assert clocked.session.confirmed


def test_ends_go_before_what_is_wanted(clocked: Clocked) -> None:
    clocked.confirm()
    clocked.session.want(("d@trade",))
    clocked.session.end(("a@trade",))
    assert clocked.due() == [{"method": "UNSUBSCRIBE", "params": ["a@trade"], "id": 3}]
    clocked.now_s += 1
    assert clocked.due() == [{"method": "SUBSCRIBE", "params": ["d@trade"], "id": 4}]
    assert clocked.session.agreed, "it was, and goes on with what it has"


def test_a_request_without_a_reply(clocked: Clocked) -> None:
    clocked.due()
    assert clocked.pass_s(5.0) is None
    assert clocked.pass_s(0.1) == Verdict("close", "no reply to a request within 5 s")


@pytest.mark.parametrize("number", [7, "1", None])
def test_a_reply_to_nothing_is_no_reply(number: object, clocked: Clocked) -> None:
    clocked.due()
    clocked.reply(number)
    assert clocked.pass_s(5.1) == Verdict("close", "no reply to a request within 5 s")


@pytest.mark.parametrize(
    "error", [{"error": {"code": 2, "msg": "bad"}}, {"code": 2, "msg": "bad", "result": None}]
)
def test_a_refusal_in_the_venues_words(error: dict[str, object], clocked: Clocked) -> None:
    clocked.due()
    clocked.reply(1, **error)
    assert clocked.pass_s(0) == Verdict("close", "the venue refused a request: bad (2)")


def test_what_is_no_reply_at_all(clocked: Clocked) -> None:
    clocked.session.control(b"nonsense", clocked.now_s)
    clocked.session.control(b'{"e":"kline"}', clocked.now_s)
    assert clocked.pass_s(0) is None


def test_pings_and_their_answers(clocked: Clocked) -> None:
    assert not clocked.session.ping_due(clocked.now_s)
    clocked.pass_s(10)
    assert clocked.session.ping_due(clocked.now_s)
    assert not clocked.session.ping_due(clocked.now_s)
    assert clocked.pass_s(25, heard=False) is None
    assert clocked.pass_s(0.1, heard=False) == Verdict("close", "no answer to 2 pings")


def test_no_first_data(clocked: Clocked) -> None:
    clocked.confirm()
    assert not clocked.session.settled(clocked.now_s)
    assert clocked.pass_s(19) is None
    assert clocked.pass_s(1) == Verdict("replace", "no data for 20 s", silent=True)
    assert clocked.session.settled(clocked.now_s), "what takes over need not have more"


def test_silence_after_data() -> None:
    clocked = Clocked(patience=4)
    clocked.confirm()
    clocked.session.data(clocked.now_s)
    assert clocked.session.settled(clocked.now_s)
    assert clocked.session.patience == 2, "the first data halves it"
    assert clocked.pass_s(120) is None
    assert clocked.pass_s(0.1) == Verdict("replace", "no data for 120 s", silent=True)
    clocked.session.data(clocked.now_s)
    assert clocked.pass_s(59.9) is None
    clocked.session.data(clocked.now_s)
    assert clocked.pass_s(60.1) == Verdict("replace", "no data for 60 s", silent=True)


def test_age(clocked: Clocked) -> None:
    clocked.confirm()
    clocked.pass_s(990)
    clocked.session.data(clocked.now_s)
    assert clocked.pass_s(0) is None
    assert clocked.pass_s(11) == Verdict("replace", "older than 1000 s")


def test_a_server_that_leaves(clocked: Clocked) -> None:
    clocked.session.control(b'{"e":"serverShutdown","E":1}', clocked.now_s)
    assert clocked.pass_s(0) == Verdict("replace", "the venue shuts this server down")
