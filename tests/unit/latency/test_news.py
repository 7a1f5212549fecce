from gateway.latency.news import News


def test_each_entry_is_news_once_and_for_its_own_list() -> None:
    news = News()
    first, second = {"ts": 1}, {"ts": 2}
    assert news.of("a", [first]) == [first]
    assert news.of("a", [first, second]) == [second]
    assert news.of("b", [first]) == [first]
    assert news.of("a", [second]) == []


def test_several_of_one_moment_and_those_without_any() -> None:
    news = News()
    gc, loop, odd = {"ts": 7, "kind": "gc"}, {"ts": 7, "kind": "loop"}, {"kind": "loop"}
    assert news.of("a", [gc, loop, odd]) == [gc, loop, odd]
    assert news.of("a", [gc, loop, odd]) == []


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    news = News()
    assert news.of("a", [{"ts": 900}]) == [{"ts": 900}]
    assert news.of("a", [{"ts": 900}, {"ts": 5}]) == [{"ts": 5}]
