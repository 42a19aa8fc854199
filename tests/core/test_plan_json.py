"""plan.json: complete, replayable, and refused where it does not belong."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.weights import Weights, write_weights
from prune.errors import PlanError, PruneError
from prune.graph.channels import trace_groups
from prune.plan.types import FORMAT, ChannelMask, PrunePlan, digest, format_plan, parse_plan, read_plan
from prune.surgery.apply import Pruned, apply
from tests.core.test_channels import cbl, graph_of
from tests.core.test_score import with_gammas
from tests.strategies import as_float32, examples, pruning_tasks

GRAPH = graph_of(cbl(4) + cbl(4, groups=2) + cbl(4))
WEIGHTS = with_gammas(GRAPH, {})


def plan_with(*masks: ChannelMask, removed: tuple[int, ...] = ()) -> PrunePlan:
    return PrunePlan(digest(GRAPH.netdef, WEIGHTS), masks, removed)


def mask(group: int, *keep: int) -> ChannelMask:
    return ChannelMask(group, np.array(keep, bool))


def files_of(pruned: Pruned) -> tuple[str, bytes]:
    """The cfg text and the weights file."""
    with TemporaryDirectory() as folder:
        write_weights(Path(folder) / "a.weights", pruned.weights, pruned.netdef)
        return format_netdef(pruned.netdef), (Path(folder) / "a.weights").read_bytes()


@given(pruning_tasks())
@examples(40)
def test_a_stored_plan_replays_to_identical_files(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    netdef, weights = task[0], as_float32(task[1])
    plan = PrunePlan(digest(netdef, weights), task[2].masks, task[2].removed, {"kind": "any", "percent": 0.3}, ("n",))
    graph = trace_groups(netdef, protect=())
    text = format_plan(plan, graph)
    stored = parse_plan(text)
    assert format_plan(stored, graph) == text
    assert (stored.removed, stored.policy, stored.notes) == (plan.removed, plan.policy, plan.notes)
    assert files_of(apply(netdef, weights, stored)) == files_of(apply(netdef, weights, plan))


def test_a_plan_for_other_weights_or_another_cfg_is_refused() -> None:
    plan = plan_with()
    other = with_gammas(GRAPH, {0: [1, 1, 1, 1]})
    with pytest.raises(PlanError, match="another cfg or other weights"):
        apply(GRAPH.netdef, other, plan)
    commented = parse_netdef("# mine\n" + format_netdef(GRAPH.netdef))
    with pytest.raises(PlanError, match="another cfg or other weights"):
        apply(commented, WEIGHTS, plan)


@pytest.mark.parametrize(
    ("plan", "what"),
    [
        (plan_with(mask(99, 1)), "group 99"),
        (plan_with(mask(-1, 1)), "group -1"),
        (plan_with(mask(1, 1, 0)), "is 4 channels wide, the mask 2"),
        (plan_with(mask(4, 1, 1, 1, 1, 1, 0)), "is frozen: feeds the head"),
        (plan_with(mask(3, 0, 0, 0, 0)), "nothing would be left"),
        (plan_with(mask(1, 1, 1, 0, 0)), "nothing would be left"),
        (plan_with(mask(1, 1, 1, 1, 0)), "must keep equal counts"),
        (plan_with(mask(3, 1, 1, 1, 0), mask(3, 0, 1, 1, 1)), "twice"),
        (plan_with(removed=(2,)), "no residual block ends at layer 2"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_anything_is_done(plan: PrunePlan, what: str) -> None:
    with pytest.raises(PlanError, match=what):
        apply(GRAPH.netdef, WEIGHTS, plan)


def _changed(**changes: object) -> str:
    return json.dumps({**json.loads(format_plan(plan_with(mask(3, 1, 0, 1, 1)), GRAPH)), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        "no json",
        _changed(format=FORMAT + 1),
        _changed(masks=[{}]),
        _changed(masks=3),
        _changed(masks=[{"group": 1, "width": 4, "cut": [4]}]),
        _changed(masks=[{"group": 1, "width": 4, "cut": [-1]}]),
        _changed(masks=[{"group": 1, "width": 4, "cut": ["a"]}]),
        _changed(removed_blocks=["x"]),
        _changed(policy=5),
        _changed(policy=None),
        _changed(masks=[{"group": 1, "width": -4, "cut": []}]),
    ],
)
def test_what_is_no_plan_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def test_a_missing_plan_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(PruneError, match=r"none\.json: no such file"):
        read_plan(tmp_path / "none.json")


def test_a_plan_describes_itself() -> None:
    text = plan_with(mask(3, 1, 0, 1, 1), mask(1, 1, 1, 1, 1)).describe(GRAPH)
    assert text == "group 3 (layers 2): 4 -> 3 channels"
    assert plan_with().describe(GRAPH) == "nothing is cut"
