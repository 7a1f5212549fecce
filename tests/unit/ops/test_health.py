from typing import Any

from gateway.model.outcomes import ACCEPT_ERRORS
from gateway.ops.health import DESCRIPTORS_QUIET_S, Health


def test_ready_says_nothing(site: Any) -> None:
    assert Health(site.subject).problems(0.0) == []


def test_the_supervisors_problems_are_ours(site: Any) -> None:
    site.supervision.problems = ["draining", "worker-0 is draining"]
    assert Health(site.subject).problems(0.0) == ["draining", "worker-0 is draining"]


def test_f54_out_of_descriptors_is_not_ready_until_it_is_over(site: Any) -> None:
    health = Health(site.subject)
    page = site.pages["worker-1"]
    page.add("accept_errors", ACCEPT_ERRORS.index("EMFILE"))
    assert health.problems(10.0) == ["out of file descriptors"]
    assert health.problems(10.0 + DESCRIPTORS_QUIET_S / 2) == ["out of file descriptors"]
    page.add("accept_errors", ACCEPT_ERRORS.index("ENFILE"))
    health.sample(11.5)  # seen by the sampler, with nobody asking
    assert health.problems(13.0) == ["out of file descriptors"]
    assert health.problems(11.5 + DESCRIPTORS_QUIET_S) == []


def test_f54_other_accept_errors_do_not_matter(site: Any) -> None:
    health = Health(site.subject)
    site.pages["worker-0"].add("accept_errors", ACCEPT_ERRORS.index("other"))
    assert health.problems(1.0) == []


def test_what_happened_before_the_start_is_past(site: Any) -> None:
    site.pages["worker-0"].add("accept_errors", ACCEPT_ERRORS.index("EMFILE"))
    assert Health(site.subject).problems(1.0) == []
