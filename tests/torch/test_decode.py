from __future__ import annotations

import pytest
import torch

from prune.detect.decode import decode, decode_head
from prune.detect.heads import split_head
from tests.torch.heads import head, random_raw, two_heads
from tests.torch.reference_heads import decode_gaussian, decode_region


def test_one_cell_is_decoded_by_darknets_formulas() -> None:
    yolo = head(classes=2, masks=("5,3", "0,1,2"), scale=1.1)
    raw = torch.zeros(1, 2 * 7, 2, 4)
    tx, ty, tw, th, to, tc = 0.3, -0.7, 0.2, -0.4, 1.5, -2.0
    # Second anchor of the mask (anchor 3: 30×61), row 1, column 2.
    raw[0, 7:14, 1, 2] = torch.tensor([tx, ty, tw, th, to, tc, 0.0])
    decoded = decode([raw], [yolo], (64, 32))
    assert decoded.shape == (1, 2 * 2 * 4, 7)
    s = torch.tensor([tx, ty, to, tc]).sigmoid()
    found = decoded[0, 8 + 1 * 4 + 2]
    expected = torch.tensor(
        [
            (s[0] * 1.1 - 0.05 + 2) / 4,
            (s[1] * 1.1 - 0.05 + 1) / 2,
            torch.tensor(tw).exp() * 30 / 64,
            torch.tensor(th).exp() * 61 / 32,
            s[2],
            s[3],
            0.5,
        ]
    )
    assert torch.allclose(found, expected, atol=1e-6)
    # The first anchor of the mask is anchor 5: 59×119.
    assert torch.allclose(decoded[0, 0, 2:4], torch.tensor([59 / 64, 119 / 32]))


def test_new_coords_reads_outputs_that_are_probabilities_already() -> None:
    yolo = head(classes=1, masks=("0", "1"), scale=2.0, new_coords=1)
    raw = torch.tensor([0.25, 0.75, 0.5, 0.6, 0.9, 0.8]).view(1, 6, 1, 1)
    found = decode([raw], [yolo], (32, 32))[0, 0]
    expected = [0.25 * 2 - 0.5, 0.75 * 2 - 0.5, 10 / 32, 1.2**2 * 13 / 32, 0.9, 0.8]
    assert found.tolist() == pytest.approx(expected)


def test_heads_follow_one_another_in_the_order_of_the_cfg() -> None:
    heads = two_heads().heads
    raw = random_raw(heads, 2)
    decoded = decode(raw, heads, (64, 64))
    assert decoded.shape == (2, 3 * 4 * 4 + 3 * 8 * 8, 7)
    assert torch.equal(decoded[:, :48], decode(raw[:1], heads[:1], (64, 64)))
    assert torch.equal(decoded[:, 48:], decode(raw[1:], heads[1:], (64, 64)))


def test_heads_with_fewer_classes_get_probability_zero_for_the_rest() -> None:
    heads = two_heads(3, second_classes=1).heads
    decoded = decode(random_raw(heads, 1), heads, (64, 64))
    assert decoded.shape[-1] == 8
    assert decoded[:, 48:, 6:].abs().max() == 0
    assert decoded[:, 48:, 5].min() > 0


def test_extreme_logits_decode_to_finite_boxes() -> None:
    heads = two_heads().heads
    raw = [r.sign() * 1e4 for r in random_raw(heads, 1)]
    assert decode(raw, heads, (64, 64)).isfinite().all()
    assert decode([r.bfloat16() for r in raw], heads, (64, 64)).dtype == torch.float32


def test_memory_format_does_not_matter() -> None:
    heads = two_heads().heads
    raw = random_raw(heads, 2)
    strided = [r.to(memory_format=torch.channels_last) for r in raw]
    assert torch.allclose(decode(raw, heads, (64, 64)), decode(strided, heads, (64, 64)), atol=1e-6)


def test_channels_that_do_not_fit_the_head_are_an_error() -> None:
    with pytest.raises(ValueError, match="reads 21 channels, not 20"):
        split_head(torch.zeros(1, 20, 2, 2), head())


@pytest.mark.parametrize("kind", ["region", "region without softmax"])
def test_a_region_head_is_decoded_as_darknet_does(kind: str) -> None:
    heads = two_heads(3, kinds=(kind, "yolo")).heads
    raw = random_raw(heads, 1)[0].double()
    found = decode_head(raw, heads[0], (64, 64))[0].view(3, 4, 4, 8)
    cells = [(w / 16, h / 16) for w, h in ((30, 61), (62, 45), (59, 119))]
    expected = decode_region(raw[0].numpy(), cells, 3, kind == "region")
    assert torch.allclose(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1.2])
def test_a_gaussian_head_is_decoded_as_darknet_does(scale: float) -> None:
    heads = two_heads(2, kinds=("Gaussian_yolo", "yolo"), scale=scale, masks=("4,0", "1,2")).heads
    raw = random_raw(heads, 1)[0].double()
    assert raw.shape[1] == 2 * (9 + 2)
    found = decode_head(raw, heads[0], (64, 64))[0].view(2, 4, 4, 7)
    expected = decode_gaussian(raw[0].numpy(), [(62, 45), (10, 13)], 2, scale, (64, 64))
    assert torch.allclose(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def test_region_anchors_follow_the_size_of_the_image() -> None:
    heads = two_heads(kinds=("region", "region")).heads
    raw = [torch.zeros(1, h.channels, 64 // s, 128 // s) for h, s in zip(heads, (16, 8), strict=True)]
    sizes = decode(raw, heads, (128, 64))[0, :, 2:4] * torch.tensor([128.0, 64.0])
    assert torch.allclose(sizes[0], torch.tensor([30.0, 61.0]))
    assert torch.allclose(sizes[-1], torch.tensor([33.0, 23.0]))


@pytest.mark.parametrize("kinds", [("region", "Gaussian_yolo"), ("Gaussian_yolo", "yolo"), ("yolo", "region")])
def test_heads_of_different_kinds_and_classes_can_be_combined(kinds: tuple[str, str]) -> None:
    heads = two_heads(3, second_classes=1, kinds=kinds).heads
    decoded = decode(random_raw(heads, 2), heads, (64, 64))
    assert decoded.shape == (2, 3 * 4 * 4 + 3 * 8 * 8, 8)
    assert decoded[:, 48:, 6:].abs().max() == 0
    assert ((decoded[..., 4:] >= 0) & (decoded[..., 4:] <= 1)).all()
