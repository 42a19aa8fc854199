from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from prune.darknet.head_rules import HeadRules, head_rules
from prune.darknet.layers import Head
from prune.darknet.netdef import NetDef, parse_netdef
from prune.detect.assign import assign
from prune.detect.boxes import cxcywh_to_xyxy, pairwise_iou
from prune.detect.decode import decode
from prune.detect.heads import split_head
from prune.detect.loss import YoloLoss, class_loss, padded_truths
from prune.detect.settings import LossSettings
from prune.errors import UsageError
from tests.torch.heads import random_raw, two_head_cfg, two_heads
from tests.torch.loss_cases import GRIDS, SIZE, TARGETS, places


def test_each_object_is_assigned_to_the_most_similar_anchor_of_all_heads() -> None:
    assert places(0, TARGETS) == [(0, 2, 1, 1, 0)]
    assert places(1, TARGETS) == [(0, 0, 4, 5, 1), (2, 2, 0, 7, 1)]


def test_masks_out_of_order_are_followed() -> None:
    netdef = two_heads(masks=("5,0,4", "2,3,1"))
    assert places(0, TARGETS, netdef) == [(0, 0, 1, 1, 0), (0, 1, 2, 2, 1)]
    assert places(1, TARGETS, netdef) == [(2, 0, 0, 7, 1)]


def test_an_object_is_also_assigned_to_similar_anchors() -> None:
    one = TARGETS[2:]  # 32×26; anchors 16×30 (IoU 0.47), 33×23 (0.84), 30×61 (0.4), 62×45 (0.3)
    assert places(0, one, match_iou=0.35) == [(2, 0, 0, 3, 1)]
    assert places(1, one, match_iou=0.35) == [(2, 1, 0, 7, 1), (2, 2, 0, 7, 1)]
    assert places(1, one, match_iou=None) == [(2, 2, 0, 7, 1)]  # the cfg's iou_thresh: 1


def test_where_objects_have_the_same_place_the_better_fitting_one_is_kept() -> None:
    rival = torch.tensor([[0, 0, 0.71, 0.61, 0.17, 0.22]])
    both = torch.cat((rival, TARGETS[1:2]))
    assert places(1, both) == [(0, 0, 4, 5, 1)]
    assert places(1, both.flip(0)) == [(0, 0, 4, 5, 1)]


def test_objects_without_area_and_of_unknown_classes_are_left_out() -> None:
    netdef = two_heads(3, second_classes=1)
    small = torch.tensor([[0, 2, 0.5, 0.5, 0.16, 0.2], [0, 0, 0.5, 0.5, 0.0, 0.2]])
    assert places(1, small, netdef) == []
    assert places(0, small, netdef) == [(0, 0, 2, 2, 2)]  # the best anchor that knows class 2


def reference(raw: list[Tensor], targets: Tensor, heads: tuple[Head, ...], settings: LossSettings) -> list[float]:
    """The loss of `prune.detect.loss` written as loops, with IoU as box loss."""
    batch, boxes = len(raw[0]), sum(r.shape[0] * r.shape[2] * r.shape[3] * 3 for r in raw)
    box = obj = cls = 0.0
    assigned = assign(targets, heads, GRIDS, SIZE, settings.match_iou)
    counts = [sum(int((a.image == b).sum()) for a in assigned) for b in range(batch)]
    for head, r, found in zip(heads, raw, assigned, strict=True):
        decoded = decode([r], [head], SIZE)
        _, _, rows, columns = r.shape
        goals = {
            (b, (a * rows + y) * columns + x): (c, t)
            for b, a, y, x, c, t in zip(
                *(v.tolist() for v in found.place), found.classes.tolist(), found.boxes, strict=True
            )
        }
        for b in range(batch):
            truths = cxcywh_to_xyxy(targets[targets[:, 0] == b, 2:])
            for n, values in enumerate(decoded[b]):
                corners = cxcywh_to_xyxy(values[None, :4])
                if (b, n) in goals:
                    label, truth = goals[b, n]
                    iou = float(pairwise_iou(corners, cxcywh_to_xyxy(truth[None])))
                    box += (1 - iou) / counts[b]
                    obj -= math.log(values[4])
                    cls -= sum(math.log(p if c == label else 1 - p) for c, p in enumerate(values[5:])) / counts[b]
                elif not len(truths) or float(pairwise_iou(corners, truths).max()) <= head_rules(head).ignore_thresh:
                    obj -= math.log(1 - values[4])
    return [settings.box_gain * box / batch, settings.obj_gain * obj / boxes, settings.cls_gain * cls / batch]


@pytest.mark.parametrize("new_coords", [0, 1])
def test_the_loss_is_that_of_its_formulas(new_coords: int) -> None:
    heads = two_heads(new_coords=new_coords, scale=1.2).heads
    raw = random_raw(heads, 3)
    if new_coords:
        raw = [r.sigmoid() for r in raw]
    settings = LossSettings(box_loss="iou", match_iou=0.3)
    parts = YoloLoss(heads, settings, SIZE)(raw, TARGETS)
    found = [float(parts.box), float(parts.obj), float(parts.cls)]
    assert found == pytest.approx(reference(raw, TARGETS, heads, settings), rel=1e-4)
    assert float(parts.total) == pytest.approx(sum(found))


def test_a_box_that_overlaps_an_object_well_is_not_background() -> None:
    heads = two_heads().heads
    raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
    # Boxes at a cell's middle have the anchors' sizes: this object equals anchor 4 in cell (1, 1) of head 0.
    target = torch.tensor([[0, 0, 1.5 / 4, 1.5 / 4, 62 / 64, 45 / 64]])
    boxes = decode(raw, heads, SIZE)[0]
    ignored = int((pairwise_iou(cxcywh_to_xyxy(boxes[:, :4]), cxcywh_to_xyxy(target[:, 2:])) > 0.5).sum()) - 1
    assert ignored > 0
    loss = YoloLoss(heads, LossSettings(match_iou=1.0, ignore_iou=0.5), SIZE)(raw, target)
    total = len(boxes)
    assert float(loss.obj) == pytest.approx(64 * math.log(2) * (total - ignored) / total, rel=1e-5)
    everything = YoloLoss(heads, LossSettings(match_iou=1.0, ignore_iou=1.0), SIZE)(raw, target)
    assert float(everything.obj) == pytest.approx(64 * math.log(2), rel=1e-5)


def test_the_loss_of_a_batch_is_the_mean_of_the_losses_of_its_images() -> None:
    heads = two_heads().heads
    raw, loss = random_raw(heads, 3), YoloLoss(heads, LossSettings(), SIZE)
    single = []
    for b in range(3):
        mine = TARGETS[TARGETS[:, 0] == b].clone()
        mine[:, 0] = 0
        single.append(float(loss([r[b : b + 1] for r in raw], mine).total))
    assert float(loss(raw, TARGETS).total) == pytest.approx(sum(single) / 3, rel=1e-5)


def test_images_without_objects_only_teach_background() -> None:
    heads = two_heads().heads
    for batch in (1, 2):
        parts = YoloLoss(heads, LossSettings(), SIZE)(random_raw(heads, batch), torch.zeros(0, 6))
        assert float(parts.box) == float(parts.cls) == 0
        assert float(parts.obj) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("new_coords", [0, 1])
@pytest.mark.parametrize("box_loss", ["iou", "giou", "diou", "ciou"])
def test_extreme_outputs_give_finite_losses_and_gradients(dtype: torch.dtype, new_coords: int, box_loss: str) -> None:
    heads = two_heads(new_coords=new_coords).heads
    for factor in (0.0, 1e2, 1e4):
        raw = [(r * factor).sigmoid() if new_coords else r * factor for r in random_raw(heads, 3)]
        raw = [r.to(dtype).requires_grad_() for r in raw]
        settings = LossSettings(box_loss=box_loss, iou_objectness=0.5)  # type: ignore[arg-type]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = YoloLoss(heads, settings, SIZE)(raw, TARGETS)
        assert parts.total.dtype == torch.float32
        assert parts.total.isfinite()
        parts.total.backward()  # type: ignore[no-untyped-call]
        assert all(r.grad is not None and r.grad.isfinite().all() for r in raw)


def test_objectness_may_follow_the_iou_and_classes_may_be_smoothed() -> None:
    heads = two_heads().heads
    raw = random_raw(heads, 3)
    plain = YoloLoss(heads, LossSettings(), SIZE)(raw, TARGETS)
    other = YoloLoss(heads, LossSettings(iou_objectness=1.0, label_smoothing=0.2), SIZE)(raw, TARGETS)
    assert float(other.box) == float(plain.box)
    assert float(other.obj) != float(plain.obj)
    assert float(other.cls) != float(plain.cls)


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("smooth", [0.0, 0.1, 1.0])
def test_smoothing_moves_the_target_of_an_independent_class_toward_one_half(smooth: float, classes: int) -> None:
    """Darknet's delta_yolo_class: y · (1 − ε) + ε / 2, whatever the number of classes."""
    values = torch.linspace(-1.5, 2.0, classes)[None]
    truth = torch.eye(classes)[:1]
    goals = [1 - smooth / 2] + [smooth / 2] * (classes - 1)
    chances = [1 / (1 + math.exp(-v)) for v in values[0].tolist()]
    expected = -sum(g * math.log(p) + (1 - g) * math.log(1 - p) for g, p in zip(goals, chances, strict=True))
    assert float(class_loss(values, truth, HeadRules(), smooth)) == pytest.approx(expected, rel=1e-5)
    squares = sum((v - g) ** 2 for v, g in zip(values[0].tolist(), goals, strict=True))
    assert float(class_loss(values, truth, HeadRules(class_kind="linear"), smooth)) == pytest.approx(squares, rel=1e-5)


def test_smoothing_is_the_cfgs_unless_the_settings_name_it() -> None:
    plain, smoothed = two_heads(), parse_netdef(two_head_cfg().replace("num=6", "num=6\nlabel_smooth_eps=0.2"))
    raw = random_raw(plain.heads, 3)

    def cost(netdef: NetDef, smoothing: float | None) -> float:
        return float(YoloLoss(netdef.heads, LossSettings(label_smoothing=smoothing), SIZE)(raw, TARGETS).cls)

    assert cost(smoothed, None) == cost(plain, 0.2) != cost(plain, None)
    assert cost(smoothed, 0.0) == cost(plain, None)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_an_objectness_that_follows_the_iou_teaches_no_box_coordinates(share: float) -> None:
    """The IoU is a target there: through it boxes would learn to agree less with objects where that is cheaper."""
    heads = two_heads().heads
    raw = [r.requires_grad_() for r in random_raw(heads, 3)]
    YoloLoss(heads, LossSettings(iou_objectness=share), SIZE)(raw, TARGETS).obj.backward()  # type: ignore[no-untyped-call]
    for r, head in zip(raw, heads, strict=True):
        assert r.grad is not None
        gradient = split_head(r.grad, head)
        assert gradient[:, :, 4].abs().sum() > 0
        assert gradient[:, :, :4].abs().sum() == gradient[:, :, 5:].abs().sum() == 0


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_objectness_target_is_1_less_the_share_of_what_the_iou_lacks(share: float) -> None:
    """A box of zeros is its anchor in the middle of its cell; the object there has its centre, and half its width."""
    heads = two_heads(anchors="64,64, 64,64, 64,64, 64,64, 64,64, 16,32").heads
    raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
    split_head(raw[0], heads[0])[:, :, 4] = 1.0
    target = torch.tensor([[0, 0, 1.5 / 4, 1.5 / 4, 8 / 64, 32 / 64]])
    settings = LossSettings(box_loss="iou", match_iou=1.0, ignore_iou=1.0, iou_objectness=share)
    parts = YoloLoss(heads, settings, SIZE)(raw, target)
    no, yes = math.log(1 + math.e), math.log(1 + math.exp(-1))
    goal = 1 - share + share * 0.5
    boxes = 3 * (16 + 64)
    expected = (47 * no + goal * yes + (1 - goal) * no + 3 * 64 * math.log(2)) * 64 / boxes
    assert float(parts.obj) == pytest.approx(expected, rel=1e-5)


def test_an_iou_below_0_is_an_objectness_of_0() -> None:
    """A box and its object, both tiny, in opposite corners of a cell: their GIoU is nearly −1."""
    heads = two_heads(anchors="64,64, 64,64, 64,64, 64,64, 64,64, 64,64").heads
    raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
    values = split_head(raw[0], heads[0])
    values[:, :, 4] = 1.0
    values[:, :, :2], values[:, :, 2:4] = 5.0, -6.0
    target = torch.tensor([[0, 0, 1.01 / 4, 1.01 / 4, 0.002, 0.002]])
    settings = LossSettings(box_loss="giou", match_iou=1.0, ignore_iou=1.0, iou_objectness=1.0)
    parts = YoloLoss(heads, settings, SIZE)(raw, target)
    assert float(parts.box) > 1.9 * settings.box_gain
    expected = (48 * math.log(1 + math.e) + 192 * math.log(2)) * 64 / 240
    assert float(parts.obj) == pytest.approx(expected, rel=1e-5)


def test_a_box_whose_overlap_equals_the_ignore_threshold_is_background() -> None:
    """Darknet ignores it where best_iou > ignore_thresh only. All boxes here are their anchors; one of 32×32 has the
    object's centre and overlaps it, 16×32, by exactly one half.
    """
    heads = two_heads(anchors="64,64, 64,64, 64,64, 64,64, 32,32, 16,32").heads
    raw = [torch.zeros(1, h.channels, *grid) for h, grid in zip(heads, GRIDS, strict=True)]
    target = torch.tensor([[0, 0, 1.5 / 4, 1.5 / 4, 16 / 64, 32 / 64]])

    def objectness(ignore: float) -> float:
        return float(YoloLoss(heads, LossSettings(match_iou=1.0, ignore_iou=ignore), SIZE)(raw, target).obj)

    everything = 64 * math.log(2)
    assert objectness(0.5) == pytest.approx(everything, rel=1e-6)
    assert objectness(0.499) == pytest.approx(everything * 239 / 240, rel=1e-6)


def test_an_object_is_not_assigned_to_an_anchor_whose_shape_iou_equals_the_threshold() -> None:
    """As in Darknet (iou > iou_thresh); the best anchor learns it in any case."""
    netdef = two_heads(anchors="16,16, 8,8, 1,1, 32,16, 1,64, 64,1")
    target = torch.tensor([[0, 0, 0.5, 0.5, 16 / 64, 16 / 64]])
    assert places(1, target, netdef, match_iou=0.5) == [(0, 0, 4, 4, 0)]
    assert places(0, target, netdef, match_iou=0.5) == []
    assert places(0, target, netdef, match_iou=0.499) == [(0, 0, 2, 2, 0)]


def test_a_call_may_state_another_image_size() -> None:
    heads = two_heads().heads
    raw = random_raw(heads, 3)
    called = YoloLoss(heads, LossSettings(), (32, 32))(raw, TARGETS, SIZE)
    assert float(called.total) == float(YoloLoss(heads, LossSettings(), SIZE)(raw, TARGETS).total)


def test_objects_are_gathered_by_image() -> None:
    truths = padded_truths(TARGETS[[1, 2, 0]], 4)
    assert truths.shape == (4, 2, 4)
    assert torch.equal(truths[0], cxcywh_to_xyxy(TARGETS[[1, 0], 2:]))
    assert torch.equal(truths[2, 0], cxcywh_to_xyxy(TARGETS[2, 2:]))
    assert truths[[1, 3]].abs().sum() == 0


@pytest.mark.parametrize("wrong", [{"box_gain": -1}, {"match_iou": 1.5}, {"label_smoothing": -0.1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        LossSettings(**wrong)  # type: ignore[arg-type]
