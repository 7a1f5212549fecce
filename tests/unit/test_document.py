"""Reading documents against structs, beyond what the configuration's own tests show."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from gateway.document import Reader, in_words, read_toml
from gateway.options import Options


class Inner(Options, frozen=True, kw_only=True):
    number: Annotated[int, Meta(ge=0, le=9)]


class Root(Options, frozen=True, kw_only=True):
    inners: Annotated[list[Inner], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: [Inner(number=0)]
    )
    texts: list[str] = msgspec.field(default_factory=list)
    maybe: Inner | None = None
    anything: dict[str, Any] = msgspec.field(default_factory=dict)


def read(document: dict[str, Any]) -> tuple[Root | None, dict[str, str]]:
    reader = Reader(Root, "the thing", "here")
    root = reader.read(document)
    assert all(problem.origin == "here" for problem in reader.problems)
    return root, {problem.key: problem.message for problem in reader.problems}


def test_lists_tables_that_may_be_absent_and_free_tables() -> None:
    document = {
        "inners": [{"number": 1}, {"number": 2}],
        "texts": ["a", "b"],
        "maybe": {"number": 3},
        "anything": {"x": [1, {"y": 2}]},
    }
    root, problems = read(document)
    assert problems == {}
    assert root is not None
    assert msgspec.to_builtins(root) == document


@pytest.mark.parametrize(
    ("document", "key", "message"),
    [
        ({"inners": []}, "inners", "found an empty array; expected a non-empty array of a table"),
        ({"inners": [{"number": 10}]}, "inners.0.number", "found 10; expected an integer from 0"),
        ({"texts": ["a", 1]}, "texts.1", "found 1; expected text"),
        ({"texts": "a"}, "texts", 'found "a"; expected an array of text'),
        ({"maybe": 1}, "maybe", "found 1; expected a table"),
        ({"maybe": {}}, "maybe.number", "missing; expected an integer from 0 to 9"),
        ({"number": 1}, "number", "unknown key; did you mean maybe.number?"),
        ({"zzz": 1}, "zzz", "unknown key; the thing has inners, texts, maybe, anything"),
    ],
)
def test_one_error(document: dict[str, Any], key: str, message: str) -> None:
    _, problems = read(document)
    assert list(problems) == [key]
    assert problems[key].startswith(message)


def test_a_contradiction_of_a_bad_value_is_not_told() -> None:
    reader = Reader(Root, "the thing")
    reader.problem("maybe", "is bad")
    known = [
        (("texts", "maybe.number"), "follows from what is bad"),
        (("maybe", "texts"), "is told already"),
        (("texts", "maybes"), "is of other keys"),
    ]
    reader.contradictions(known)
    assert [str(problem) for problem in reader.problems] == [
        "maybe: is bad",
        "texts: is of other keys",
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "an empty array"),
        ([1], "an array"),
        ({}, "a table"),
        ("a" * 99, '"' + "a" * 55 + '..."'),
    ],
)
def test_values_in_words(value: object, words: str) -> None:
    assert in_words(value) == words


def test_a_byte_order_mark_is_no_part_of_the_document(tmp_path: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf[listen]\nport = 0\n")
    assert read_toml(path) == {"listen": {"port": 0}}
