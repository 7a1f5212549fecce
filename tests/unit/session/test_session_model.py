"""The session's subscriptions, held against a naive table."""

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.session import Subscribe, Unsubscribe

if TYPE_CHECKING:
    from unit.session.conftest import Connect

NAMES = ("A.SIM", "B.SIM", "BTCUSDT.BINANCE", "*", "ETH*", "*.XNAS", "AAPL.XNAS", "NOPE.X", "bad")
TOPICS = {"*": 4, "ETH*": 2, "*.XNAS": 1}
REFUSED = ("AAPL.XNAS", "NOPE.X", "bad")
TOPICS_MAX, PATTERNS_MAX = 7, 2

OPERATIONS = st.tuples(
    st.sampled_from(["subscribe", "subscribe", "update", "unsubscribe"]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
    st.sampled_from(
        [
            {},
            {"mode": "conflate"},
            {"mode": "lossless"},
            {"snapshot": False},
            {"class": 0},
            {"class": 1, "mode": "lossless"},
            {"class": 2},
            {"class": 3, "mode": "conflate"},
            {"max_hz": 20},
            {"max_hz": 0.3, "max_age_ms": 250},
            {"max_age_ms": 40},
            {"max_age_ms": 40, "mode": "conflate"},
        ]
    ),
)


Parameters = tuple[bool, bool, int, int, int]
"""Lossless, snapshot, class, the rate's interval, limit of age."""


class Model:
    """What subscriptions should be: a naive table of strings."""

    def __init__(self) -> None:
        self.table: dict[str, Parameters] = {}
        self.plane: dict[int, tuple[str, bool, bool, int, int, int]] = {}  # what a plane would hold

    def expect(self, method: str, name: str, params: dict[str, Any]) -> str | None:
        """The error code that this string should get, carrying it out where there is none."""
        if method == "unsubscribe":
            return None if self.table.pop(name, None) else "not_subscribed"
        if method == "update" and name not in self.table:
            return "not_subscribed"
        base = (True, True, 0, 0, 0) if method == "subscribe" else self.table[name]
        parameters = self.change(base, params)
        if parameters is None:
            return "bad_request"
        if method == "subscribe" and name not in self.table and (refused := self.refusal(name)):
            return refused
        self.table[name] = parameters
        return None

    def refusal(self, name: str) -> str | None:
        """Why there can be no subscription to the string."""
        if name in REFUSED:
            return "unknown_symbol"
        if name in TOPICS and len(set(self.table) & set(TOPICS)) >= PATTERNS_MAX:
            return "limit_exceeded"
        if sum(TOPICS.get(known, 1) for known in (*self.table, name)) > TOPICS_MAX:
            return "limit_exceeded"
        return None

    def change(self, base: Parameters, params: dict[str, Any]) -> Parameters | None:
        """What is in force then; None: it contradicts itself."""
        priority = params.get("class", base[2])
        interval_ms = {None: base[3], 20: 50, 0.3: 3334}[params.get("max_hz")]
        age_ms = params.get("max_age_ms", base[4])
        if "mode" in params:
            lossless = params["mode"] == "lossless"
        else:
            lossless = base[0] and priority < 2 and not interval_ms
        if lossless and (priority >= 2 or interval_ms or age_ms):
            return None
        snapshot = params.get("snapshot", base[1])
        return lossless, snapshot, priority, interval_ms, age_ms

    def carry_out(self, action: object) -> None:
        """What the data plane would do, checking that ids are unique and known."""
        if isinstance(action, Subscribe):
            for item in action.items:
                identity, _, name, lossless, snapshot, resync, *more = item[:9]
                priority, interval_ms, age_ms = more
                held = self.plane.get(identity)
                assert held is None or held[0] == name
                assert resync or held is not None
                self.plane[identity] = (name, lossless, snapshot, priority, interval_ms, age_ms)
        elif isinstance(action, Unsubscribe):
            for identity in action.ids:
                del self.plane[identity]


@given(operations=st.lists(OPERATIONS, max_size=20))
def test_subscriptions_agree_with_a_naive_table(
    connect: "Connect", operations: list[tuple[str, list[str], dict[str, Any]]]
) -> None:
    client, model = connect(topics_max=TOPICS_MAX, patterns_max=PATTERNS_MAX), Model()
    for method, names, extra in operations:
        params = {} if method == "unsubscribe" else extra
        expected = {name: model.expect(method, name, params) for name in dict.fromkeys(names)}
        reply = client.ask(method, {"channel": "trade", "symbol": names, **params})
        codes = {
            result["symbol"]: None if result["success"] else result["error"]["code"]
            for result in reply["results"]
        }
        assert codes == expected
        assert reply["failed"] == sum(code is not None for code in expected.values())
        assert reply["success"] is (None in expected.values())
        model.carry_out(client.last)
        held = {name: parameters for name, *parameters in model.plane.values()}
        assert held == {name: list(parameters) for name, parameters in model.table.items()}
        assert len(model.plane) == client.session.subscriptions == len(model.table)
        topics = sum(TOPICS.get(name, 1) for name in model.table)
        assert client.session.statistics().topics == topics
