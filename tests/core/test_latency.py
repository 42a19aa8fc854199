"""The table, the CSV and the picture of a benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from prune.report.latency import Latency, latency_csv, latency_table, precision_notes, quartiles
from prune.report.latency_chart import HEIGHT, WIDTH, latency_chart
from prune.report.line_chart import COLOURS


def row(runtime: str, network: str, bflops: float, ms: float | None = None, **more: object) -> Latency:
    spread = {} if ms is None else {"first_quartile": 0.9 * ms, "third_quartile": 1.2 * ms, "peak_bytes": 50_000_000}
    given = {"precision": "f32", "milliseconds": ms, "difference": 2e-7, **spread, **more}
    return Latency(runtime=runtime, network=network, parameters=1000, bflops=bflops, **given)  # type: ignore[arg-type]


FULL = row("torch", "full", 4.0, 40.0)
SMALL = row("torch", "small", 1.0, 20.0, speedup=2.0, bflops_reduction=4.0)
FAILED = Latency(runtime="ncnn", network="full", parameters=1000, bflops=4.0, failure="no layer of that kind")


def test_the_table_has_a_row_for_all_and_the_reason_of_a_failure() -> None:
    lines = latency_table([FULL, SMALL, FAILED]).splitlines()
    assert lines[0].split() == "runtime network parameters BFLOPs ms quartiles speed-up peak MB difference".split()
    assert lines[2].split() == ["torch", "full", "1,000", "4.0000", "40.00", "36.00-48.00", "-", "50", "2.0e-07"]
    assert lines[4].endswith("no layer of that kind")


def test_the_speed_up_is_divided_by_the_reduction_of_operations() -> None:
    assert SMALL.efficiency == 0.5
    assert FULL.efficiency is None
    assert latency_table([FULL, SMALL]).splitlines()[-1].split() == ["torch", "small", "2.00", "4.00", "0.50"]
    assert "reduction" not in latency_table([FULL])


def test_a_precision_other_than_float32_is_named() -> None:
    rows = [FULL, row("openvino-default", "full", 4.0, 9.0, precision="bf16")]
    assert precision_notes(rows) == ["openvino-default computes in bf16 on this processor"]
    assert latency_table(rows).endswith("note: openvino-default computes in bf16 on this processor")
    assert precision_notes([FULL, FAILED]) == []


def test_the_csv_has_every_value_and_empty_cells_for_what_is_not_known() -> None:
    header, first, second = latency_csv([SMALL, FAILED]).splitlines()
    values = dict(zip(header.split(","), first.split(","), strict=True))
    assert (values["milliseconds"], values["speedup"], values["failure"]) == ("20.0", "2.0", "")
    assert dict(zip(header.split(","), second.split(","), strict=True))["milliseconds"] == ""


def test_quartiles_are_in_milliseconds() -> None:
    assert quartiles([0.004, 0.001, 0.003, 0.002, 0.005]) == pytest.approx((2.0, 3.0, 4.0))


def test_each_runtime_has_its_colour_and_higher_is_slower() -> None:
    image = latency_chart([FULL, SMALL, row("opencv", "full", 4.0, 10.0), FAILED], "title")
    assert image.shape == (HEIGHT, WIDTH, 3)
    centres = []
    for colour in COLOURS[:2]:
        found = np.argwhere((image[100:] == np.array(colour)).all(axis=2))
        assert len(found) > 60
        centres.append(found[found[:, 1] > 600].mean(axis=0))  # the points at 4 BFLOPs
    assert centres[0][0] < centres[1][0], "40 ms are above 10 ms"
    assert centres[0][1] == pytest.approx(centres[1][1], abs=15)
    assert not (image == np.array(COLOURS[2])).all(axis=2).any(), "what failed is not drawn"


def test_nothing_measured_gives_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing"):
        latency_chart([FAILED], "title")
