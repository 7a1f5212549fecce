"""Kept corpora, always; and a moment of each target's search."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from fuzz import corpus, target_key_files, target_preface, target_tokens
from fuzz.engine import Engine
from fuzz.run import KEPT_BYTES_MAX, native_targets, python_targets

SEARCH_S = 0.3


@pytest.mark.parametrize("name", python_targets())
def test_f64_no_input_fails(name: str) -> None:
    target = importlib.import_module(f"fuzz.target_{name}")
    kept = corpus.read(corpus.path_of(name))
    outcome = Engine(target, seed=1).run(kept, SEARCH_S)
    assert outcome.failure is None, outcome.failure
    assert outcome.inputs >= len(kept) + len(target.SEEDS)
    assert outcome.lines > 100


def test_what_is_good_is_taken() -> None:
    """Where all were refused, no oracle of what is taken would be asked."""
    tokens = {told for seed in target_tokens.SEEDS for told in target_tokens.run(seed)}
    assert {("in", kid, False) for kid in ("ed", "ec", "rsa", "mac")} | {"api_key"} <= tokens
    files: list[Any] = [[*target_key_files.run(seed)] for seed in target_key_files.SEEDS]
    taken = {told[0][0] for told in files if told and not isinstance(told[0][1], str)}
    assert taken == {*range(len(target_key_files.KINDS))}
    clients = {told for seed in target_preface.SEEDS for told in target_preface.run(seed)}
    assert {(False, False, False), (False, False, True), (False, True, False)} <= clients


def test_each_corpus_has_its_target_and_is_written_as_it_is_read(tmp_path: Path) -> None:
    files = sorted(corpus.KEPT.iterdir())
    assert {file.stem for file in files} == {*python_targets(), *native_targets()}
    for file in files:
        inputs = corpus.read(file)
        assert max(map(len, inputs)) <= KEPT_BYTES_MAX, file.name
        corpus.write(tmp_path / file.name, inputs)
        assert (tmp_path / file.name).read_text() == file.read_text(), file.name
