"""A short run of `benchmarks.fuzz` over our own cfgs, and damage that it has found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from benchmarks import fuzz_exercise
from benchmarks.fuzz import read_corpus, run_case
from benchmarks.fuzz_exercise import make_case
from benchmarks.fuzz_mutate import mutate_cfg
from benchmarks.fuzz_weights import mutate_weights
from prune.darknet.netdef import parse_netdef
from prune.errors import CfgError
from prune.graph.channels import trace_groups
from tests.shared import REPOSITORY

SEED = 20
CASES = 250
CONV = "[convolutional]\nfilters=8\n"


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return read_corpus([REPOSITORY / "cfg"])


def test_damaged_files_give_a_named_error_or_a_valid_result(corpus: list[str], tmp_path: Path) -> None:
    results = [run_case(corpus, SEED, number, tmp_path) for number in range(CASES)]
    assert [f"{result.number}: {result.outcome} {result.failure}" for result in results if result.failure] == []
    outcomes = Counter(result.outcome for result in results)
    assert min(outcomes[key] for key in ("CfgError", "WeightsError", "valid, cut", "valid, large")) >= 5


def test_each_cfg_has_a_slim_copy_that_is_small_enough_to_cut(corpus: list[str]) -> None:
    ours = len(list((REPOSITORY / "cfg").glob("*.cfg")))
    assert len(corpus) == 2 * ours + 2


def test_the_same_number_makes_the_same_case(corpus: list[str]) -> None:
    texts = [make_case(SEED, number, corpus).text for number in range(20)]
    assert texts == [make_case(SEED, number, corpus).text for number in range(20)]
    assert len(set(texts)) > 10
    assert texts != [make_case(SEED + 1, number, corpus).text for number in range(20)]


def test_any_other_exception_is_a_failure_with_its_place(
    corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str, path: str) -> None:
        raise KeyError(path)

    monkeypatch.setattr(fuzz_exercise, "parse_netdef", broken)
    result = run_case(corpus, SEED, 0, tmp_path)
    assert result.outcome == "KeyError"
    assert "mutated.cfg" in result.failure


def test_a_changed_round_trip_is_a_failure(corpus: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_exercise, "format_netdef", lambda netdef: "")
    results = [run_case(corpus, SEED, number, tmp_path) for number in range(30)]
    assert any("round trip" in result.failure for result in results)


def test_mutations_change_texts_and_bytes(corpus: list[str]) -> None:
    random = Random(SEED)
    assert sum(mutate_cfg(corpus[0], corpus, random) != corpus[0] for _ in range(50)) > 40
    data = bytes(range(64))
    assert sum(mutate_weights(data, random) != data for _ in range(50)) > 30


@pytest.mark.parametrize(
    "sections",
    [
        pytest.param("[convolutional]\nfilters=1000000000\n", id="a billion filters"),
        pytest.param(CONV + "[route]\nlayers=-1,-1\n" * 40, id="channels doubled forty times"),
        pytest.param(CONV + "[upsample]\nstride=64\n" * 12, id="maps grown twelve times"),
        pytest.param(CONV + "[convolutional]\nfilters=1000000\nsize=1000\n" * 3, id="huge kernels"),
        pytest.param(f"[upsample]\nstride={'9' * 5000}\n", id="a number of 5000 digits"),
    ],
)
def test_a_cfg_that_needs_too_much_is_refused_before_anything_is_allocated(sections: str) -> None:
    with pytest.raises(CfgError, match=r"^big\.cfg:\d+: .{1,300}$"):
        trace_groups(parse_netdef("[net]\nwidth=64\nheight=64\nchannels=3\n" + sections, "big.cfg"))


@pytest.mark.parametrize(
    "text", ["[net]\n[conv\u2028]", "[net]\nwi\x85dth=3\x0b\n[conv\x1c]\n", "[net]\n\0x\n", "[\udc80]"]
)
def test_messages_are_one_line_whatever_the_cfg_contains(text: str) -> None:
    with pytest.raises(CfgError) as caught:
        parse_netdef(text, "odd.cfg")
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
