"""Token buckets and the minute of errors, on a manual clock."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.session.quota import MINUTE_NS, SECOND_NS, Bucket, Quota, Rate


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    bucket = Bucket(Rate(per_s=10, burst=3))
    now = 5 * SECOND_NS
    assert [bucket.take(now) for _ in range(4)] == [0, 0, 0, SECOND_NS // 10]
    assert bucket.take(now + SECOND_NS // 10 - 1) == 1
    assert bucket.take(now + SECOND_NS // 10) == 0
    assert [bucket.take(now + SECOND_NS) for _ in range(4)] == [0, 0, 0, SECOND_NS // 10]


@given(
    st.integers(1, 1000),
    st.integers(1, 20),
    st.lists(st.integers(0, SECOND_NS), min_size=1, max_size=100),
)
def test_a_bucket_never_gives_more_than_burst_and_rate(
    per_s: int, burst: int, steps: list[int]
) -> None:
    rate = Rate(per_s, burst)
    bucket, now, taken = Bucket(rate), SECOND_NS, 0
    for step in steps:
        now += step
        wait_ns = bucket.take(now)
        taken += wait_ns == 0
        assert 0 <= wait_ns <= rate.interval_ns
        assert taken <= burst + (now - SECOND_NS) // rate.interval_ns
        if wait_ns:
            now += wait_ns
            assert bucket.take(now) == 0
            taken += 1


def test_refusals_have_a_bucket_of_the_same_size() -> None:
    rate, quota = Rate(per_s=10, burst=3), Quota()
    assert [quota.refuse(rate, SECOND_NS) for _ in range(4)] == [False, False, False, True]


def test_a_client_twice_too_fast_is_refused_but_not_a_flood() -> None:
    rate, quota, now = Rate(per_s=10, burst=3), Quota(), SECOND_NS
    refused = 0
    for _ in range(1000):
        now += SECOND_NS // 20
        if quota.take(rate, now):
            refused += 1
            assert not quota.refuse(rate, now)
    assert refused > 400


def test_errors_count_for_a_minute() -> None:
    quota, now = Quota(), SECOND_NS
    assert not quota.error(3, now)
    assert not quota.error(3, now + 1)
    assert not quota.error(3, now + MINUTE_NS)
    assert not quota.error(3, now + MINUTE_NS + 1)
    assert quota.error(3, now + MINUTE_NS + 2)
