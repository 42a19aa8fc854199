"""The absorption check: it passes every correct cut and fails every wrong constant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, event, given

import prune_channel
from prune.darknet.activations import ACTIVATIONS
from prune.darknet.netdef import NetDef, parse_netdef, read_netdef
from prune.darknet.records import ConvParams, Weights
from prune.darknet.weights import write_weights
from prune.errors import VerificationError
from prune.graph.blocks import removable_blocks
from prune.graph.channels import EVERYTHING, trace_groups
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.types import PrunePlan, digest
from prune.surgery import absorb
from prune.surgery.apply import Pruned, apply
from prune.verify.absorption import check_absorption
from prune.verify.equivalence import TOLERANCE, check_equivalence
from tests.absorbing_tasks import BLOCK, GATE, WIDE, task_of
from tests.shared import REPOSITORY
from tests.small_cfgs import ADD, HEAD, NET, cbl
from tests.strategies import as_float32, doubles, examples, pruning_tasks, tame_weights

NANO = REPOSITORY / "cfg" / "yolov3-nano.cfg"


@given(pruning_tasks())
@examples(150)
def test_the_check_passes_every_plan(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    """Channels, blocks and both at once; what is noted as lost is the only thing that may deviate."""
    pruned = apply(*task)
    event(f"noted: {bool(pruned.notes)}")
    assert check_absorption(pruned) <= 1


@given(pruning_tasks())
@examples(75)
def test_the_check_allows_what_float32_rounds_off(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    netdef, weights, plan = task
    rounded = as_float32(weights)
    assert check_absorption(apply(netdef, rounded, replace(plan, source_digest=digest(netdef, rounded)))) <= 1


def with_record(pruned: Pruned, index: int, record: ConvParams) -> Pruned:
    """The pruned pair with the floats of one layer replaced."""
    return replace(pruned, weights=Weights(pruned.weights.header, {**pruned.weights.records, index: record}))


@given(pruning_tasks(gates=False))
@examples(100)
def test_the_check_sees_any_single_absorbed_constant_of_the_wrong_sign(task: tuple[NetDef, Weights, PrunePlan]) -> None:
    pruned = apply(*task)
    assume(not pruned.notes)
    graph, kept = pruned.masked.graph, pruned.masked.kept
    changed = 0
    for layer in graph.netdef.owners:
        new = pruned.index_map.get(layer.index)
        if new is None or not layer.batch_normalize:
            continue
        stays = kept[graph.trace.ids_of(layer.index, layer.filters)]
        true, found = pruned.masked.original.conv(layer.index), pruned.weights.conv(new)
        assert true.mean is not None
        assert found.mean is not None
        shift = true.mean[stays] - found.mean
        if abs(shift).max() > 1e-3:
            changed += 1
            one = np.arange(len(shift)) == np.argmax(abs(shift))
            wrong = replace(found, mean=doubles(found.mean + 2 * shift * one))
            with pytest.raises(VerificationError, match=rf"layer {layer.index} \[{layer.kind}\]"):
                check_absorption(with_record(pruned, new, wrong))
    event(f"layers with constants: {min(changed, 3)}")


Plant = Callable[[pytest.MonkeyPatch], None]


def flipped_sign(patch: pytest.MonkeyPatch) -> None:
    right = absorb._absorbed
    patch.setattr(absorb, "_absorbed", lambda record, shift: right(record, -shift))


def left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(absorb, "_absorbed", lambda record, shift: record)


def without_activation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(absorb, "ACTIVATIONS", dict.fromkeys(ACTIVATIONS, lambda x: x))


PLANTED = [flipped_sign, left_out, without_activation]


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("blocks", [False, True])
def test_planted_faults_pass_the_equivalence_check_and_are_caught_here(
    plant: Plant, blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    netdef = read_netdef(NANO)
    weights = as_float32(tame_weights(netdef, 0))
    if blocks:
        removed = tuple(block.shortcut for block in removable_blocks(netdef)[:3])
        plan = PrunePlan(digest(netdef, weights), (), removed)
    else:
        plan = plan_channels(trace_groups(netdef), weights, ChannelPolicy(percent=0.5))
    assert check_absorption(apply(netdef, weights, plan)) <= 1
    plant(monkeypatch)
    wrong = apply(netdef, weights, plan)
    assert check_equivalence(wrong) <= TOLERANCE  # both of its sides contain the fault
    with pytest.raises(
        VerificationError, match=r"absorption check: layer \d+ \[convolutional\] of the pruned network deviates"
    ):
        check_absorption(wrong)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_fault_stops_the_command_with_1_and_nothing_written(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    netdef = read_netdef(NANO)
    write_weights(tmp_path / "nano.weights", as_float32(tame_weights(netdef, 0)), netdef)
    arguments = ["--cfg", str(NANO), "--weights", str(tmp_path / "nano.weights"), "--percent", "0.5"]

    def run(out: Path) -> int:
        from prune.cli import exit_code

        monkeypatch.setattr("sys.argv", ["prune_channel.py", *arguments, "--out", str(out)])
        return exit_code(prune_channel.main)

    assert run(tmp_path / "right") == 0
    assert "absorption checked" in capsys.readouterr().out
    assert 0 <= json.loads((tmp_path / "right" / "summary.json").read_text())["absorption"] <= 1
    plant(monkeypatch)
    assert run(tmp_path / "wrong") == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert "absorption check" in error[-1]
    assert not (tmp_path / "wrong").exists()


NOTED = [
    (WIDE + GATE + WIDE, {0: [1]}, ()),
    (WIDE + BLOCK + "from=0\n" + GATE + WIDE, {}, (3,)),
    (WIDE + BLOCK + "from=0\n[shortcut]\nfrom=0\nactivation=relu\n" + WIDE, {}, (3,)),
    (cbl(6) + cbl(6) + ADD + "from=0\n[yolo]\nanchors=1,2\nclasses=1\n" + WIDE, {}, (2,)),
    (WIDE + BLOCK + "from=0\n[dropout]\n[route]\nlayers=0\n" + WIDE, {}, (3,)),
    ("[convolutional]\nfilters=4\nactivation=relu\n" + WIDE + ADD + "from=0\n" + WIDE, {0: [1]}, ()),
    (WIDE + WIDE.replace("batch_normalize=1\n", "") + ADD + "from=0\n" + WIDE, {}, (2,)),
]


@pytest.mark.parametrize(("layers", "cut", "removed"), NOTED)
def test_only_what_a_note_names_may_deviate(layers: str, cut: dict[int, list[int]], removed: tuple[int, ...]) -> None:
    """The noted loss passes; without the note it is a fault."""
    task = task_of(layers, cut, removed)
    pruned = task.pruned()
    assert pruned.notes
    assert check_absorption(pruned) <= 1
    with pytest.raises(VerificationError, match="absorption check"):
        check_absorption(replace(pruned, masked=replace(pruned.masked, losses=())))


def test_next_to_a_note_every_other_constant_is_still_checked() -> None:
    pruned = task_of(WIDE + WIDE + GATE + WIDE + WIDE, {0: [1], 1: [0, 2]}).pruned()
    assert pruned.notes
    assert check_absorption(pruned) <= 1
    for index, record in list(pruned.weights.records.items()):
        if isinstance(record, ConvParams) and record.mean is not None and index:
            wrong = replace(record, mean=doubles(record.mean.astype(np.float64) + 0.01))
            with pytest.raises(VerificationError, match="absorption check"):
                check_absorption(with_record(pruned, index, wrong))


def test_a_constant_missing_at_a_head_must_be_the_same_in_every_pixel() -> None:
    """Where a note allows a shift at a head, it may be the same in every pixel only."""
    layers = cbl(6) + cbl(6) + ADD + "from=0\n[yolo]\nanchors=1,2\nclasses=1\n" + WIDE
    pruned = task_of(layers, {}, (2,)).pruned()
    record = pruned.weights.conv(0)
    assert record.gamma is not None
    with pytest.raises(VerificationError, match="absorption check"):
        check_absorption(with_record(pruned, 0, replace(record, gamma=doubles(record.gamma.astype(np.float64) * 1.01))))


@pytest.mark.parametrize("side", [176, 192])
def test_an_old_reorg_is_checked_where_it_treats_channels_as_at_the_size_of_the_cfg(side: int) -> None:
    """Which channels it mixes depends on its map: of 11 or 12 pixels here after it, 8 at 128 px."""
    net = NET.replace("=16", f"={side}")
    layers = cbl(8, size=3, stride=8, pad=1) + cbl(8) + "[reorg]\nstride=2\n" + cbl(8)
    netdef = parse_netdef(net + layers + HEAD)
    graph, weights = trace_groups(netdef, EVERYTHING), tame_weights(netdef, 0)
    pruned = apply(netdef, weights, plan_channels(graph, weights, ChannelPolicy(percent=0.6, rule="share")))
    assert pruned.weights.floats < weights.floats
    assert bool(pruned.notes) == (side == 176)
    assert check_absorption(pruned) <= 1


def test_an_original_that_overflows_is_named_as_such() -> None:
    """The equivalence check skips the body of a removed block: here only the original computes it."""
    body = WIDE.replace("leaky", "normalize_channels_softmax") + WIDE + ADD + "from=0\n"
    task = task_of(WIDE + body + WIDE, {}, (3,))
    pruned = task.pruned()
    record = pruned.masked.original.conv(1)
    assert record.gamma is not None
    huge = replace(record, gamma=doubles(record.gamma.astype(np.float64) * 1e6))
    original = Weights(pruned.weights.header, {**pruned.masked.original.records, 1: huge})
    with pytest.raises(VerificationError, match=r"layer 4 \[convolutional\] is not finite before the cut"):
        check_absorption(replace(pruned, masked=replace(pruned.masked, original=original)))
