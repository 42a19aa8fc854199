"""plan.json: complete, replayable, and refused where it does not belong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given

from prune.darknet.layers import Layer
from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.darknet.network import Network
from prune.darknet.records import ConvParams, Header, Weights
from prune.darknet.weights import random_weights, write_weights
from prune.errors import PlanError, PruneError
from prune.graph.channels import EVERYTHING, trace_groups
from prune.plan.types import FORMAT, ChannelMask, PrunePlan, digest, format_plan, parse_plan, read_plan, write_plan
from prune.surgery.apply import Pruned, apply, to_darknet
from prune.surgery.apply import mask as carry_out_mask
from tests.given_gammas import with_gammas
from tests.small_cfgs import cbl, graph_of
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
    graph = trace_groups(netdef, EVERYTHING)
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
        (plan_with(mask(3, 0, 0, 0, 0)), "a layer would keep no channel"),
        (plan_with(mask(1, 1, 1, 0, 0)), "a layer would keep no channel"),
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
def test_what_is_not_a_plan_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert str(path) in str(caught.value)


def _mask_with(**changes: object) -> str:
    return _changed(masks=[{"group": 3, "producers": [2], "width": 4, "cut": [1]} | changes])


GOOD = _changed()
"""A plan that fits, as text."""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (_changed(policy={"percent": "0.5"}), "'percent' must be a number from 0 to 1, not '0.5'"),
        (_changed(policy={"percent": True}), "'percent' must be a number from 0 to 1, not True"),
        (_changed(policy={"percent": 7}), "'percent' must be a number from 0 to 1, not 7"),
        (_changed(policy={"layer_keep": None}), "'layer_keep' must be a number from 0 to 1, not None"),
        (_changed(policy={"kind": ["channels"]}), "'kind' must be a text of one line, not a list"),
        (_changed(policy={"rule": "a\nb"}), "'rule' must be a text of one line"),
        (_changed(policy={"auto": 1}), "'auto' must be true or false, not 1"),
        (_changed(policy={"shortcuts": 1.5}), "'shortcuts' must be a whole number"),
        (GOOD.replace('"policy": {', '"policy": {"percent": 1e400').replace("1e400,", "1e400"), "1e400 is too large"),
        (GOOD.replace('"policy": {', '"policy": {"percent": NaN'), "NaN is not a number"),
        (GOOD.replace('"policy": {', '"policy": {"percent": -Infinity'), "-Infinity is not a number"),
        (GOOD.replace('"policy": {', '"policy": {"a": 1, "a": 1'), "duplicate key 'a'"),
        (GOOD.replace('"format"', '"masks": [], "format"'), "duplicate key 'masks'"),
        (_changed(notes=1), "'notes' must be a list"),
        (_changed(source_digest=None), "'source_digest' must be a text"),
        (_changed(removed_blocks=[10**30]), "'removed_blocks' must be a whole number from 0 to"),
        (_changed(removed_blocks=[-3]), "'removed_blocks' must be a whole number from 0 to"),
        (_changed(removed_blocks=["2"]), "not '2'"),
        (_changed(removed_blocks=[2, 2]), "'removed_blocks' contains a duplicate number"),
        (_mask_with(group=1.5), "'group' must be a whole number"),
        (_mask_with(group="3"), "'group' must be a whole number from 0 to 1048576, not '3'"),
        (_mask_with(width=10**12), "'width' must be a whole number from 0 to 1048576"),
        (_mask_with(cut=[1, 1]), "'cut' contains a duplicate number"),
        (_mask_with(cut=[1.0]), "'cut' must be a whole number from 0 to 3"),
        (_mask_with(cut=[True]), "'cut' must be a whole number from 0 to 3"),
        (_mask_with(producers="2"), "'producers' must be a list"),
        (_mask_with(producers=[None]), "'producers' must be a whole number"),
        (_changed(masks=[{"group": 3, "width": 1 << 20, "cut": []}] * 9), "wider than"),
        ('{"format": 2, "masks": ' + "[" * 100_000, "nested too deeply"),
        ("1" * 5000, "not a plan of this project"),
    ],
)
def test_a_value_that_no_plan_has_is_one_line(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: is not a plan of this project: ")
    assert what in message
    assert "\n" not in message
    assert len(message) < 400


def test_a_plan_that_is_not_json_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{\n"format": 2,\n"masks": [}\n')
    with pytest.raises(PlanError, match=rf"^{path}:3: is not JSON"):
        read_plan(path)


def test_a_plan_whose_producers_are_not_the_groups_is_refused() -> None:
    with pytest.raises(PlanError, match="group 3 is written by layers 2, the plan says 0, 1"):
        apply(GRAPH.netdef, WEIGHTS, parse_plan(_mask_with(producers=[0, 1])))
    apply(GRAPH.netdef, WEIGHTS, parse_plan(_mask_with()))


def test_a_missing_plan_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(PruneError, match=r"none\.json: no such file"):
        read_plan(tmp_path / "none.json")


def test_a_plan_describes_itself() -> None:
    text = plan_with(mask(3, 1, 0, 1, 1), mask(1, 1, 1, 1, 1)).describe(GRAPH)
    assert text == "group 3 (layers 2): 4 -> 3 channels"
    assert plan_with().describe(GRAPH) == "nothing is cut"


def test_a_fingerprint_is_the_bytes_of_the_cfg_and_a_digest_does_not_change_between_versions() -> None:
    text = "# mine\r\n[net]\r\nwidth=16\r\nheight=16\r\n[convolutional]\r\nfilters=2\r\nactivation=linear\r\n"
    netdef = parse_netdef(text)
    assert netdef.fingerprint == text.encode()
    record = ConvParams(np.zeros((2, 3, 1, 1), np.float32), np.ones(2, np.float32))
    no_sums = bytes(4 * 2039)  # of fewer words than a row: they follow as they are
    words = b"".join(no_sums + array.tobytes() for array in record.arrays())
    expected = hashlib.sha256(text.encode() + words).hexdigest()
    assert digest(netdef, Weights(Header(), {0: record})) == expected


def test_a_plan_is_carried_out_in_two_halves_of_which_the_first_writes_no_cfg() -> None:
    plan = plan_with(mask(3, 1, 0, 1, 1))
    masked = carry_out_mask(GRAPH.netdef, WEIGHTS, plan)
    assert masked.graph.netdef is GRAPH.netdef
    assert [record.arrays()[0].shape for record in masked.weights.records.values()] == [
        record.arrays()[0].shape for record in WEIGHTS.records.values()
    ]
    assert int((~masked.kept).sum()) == 1
    assert files_of(to_darknet(masked)) == files_of(apply(GRAPH.netdef, WEIGHTS, plan))


def test_a_written_plan_is_read_back(tmp_path: Path) -> None:
    plan = plan_with(mask(3, 1, 0, 1, 1))
    write_plan(tmp_path / "plan.json", plan, GRAPH)
    assert (tmp_path / "plan.json").read_text() == format_plan(plan, GRAPH)
    assert format_plan(read_plan(tmp_path / "plan.json"), GRAPH) == format_plan(plan, GRAPH)


@dataclass(frozen=True)
class Lowered:
    """A network that no cfg was read for."""

    label: str
    image: tuple[int, int, int]
    layers: tuple[Layer, ...]
    fingerprint: bytes


def test_the_digest_of_a_plan_needs_no_cfg_but_what_identifies_a_network() -> None:
    netdef = graph_of(cbl(2)).netdef
    weights = random_weights(netdef, np.random.default_rng(0))
    same: Network = Lowered("model", netdef.image, netdef.layers, netdef.fingerprint)
    other: Network = Lowered("model", netdef.image, netdef.layers, b"another")
    assert digest(same, weights) == digest(netdef, weights) != digest(other, weights)
    assert (netdef.label, netdef.image) == (netdef.path, (3, netdef.net.height, netdef.net.width))
