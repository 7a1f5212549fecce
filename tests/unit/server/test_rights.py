"""Rights on a real data plane, with a canary in every topic (I5); the long form is 10,000 cases."""

from support.leaks import run


def test_f76_nothing_leaks_of_what_is_not_granted() -> None:
    assert run(60, seed=7) > 30
