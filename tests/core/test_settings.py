"""Settings declare which values they allow, and report others in one style of message."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, get_args

import pytest

from prune.cli.groups import ImageArgs, RunArgs
from prune.cli.parser import Parser, add_options, take
from prune.data.check import CheckSettings
from prune.detect.predict_settings import DetectSettings
from prune.detect.settings import EvaluateSettings, LossSettings, NmsSettings
from prune.errors import UsageError
from prune.loading.augment import AugmentSettings
from prune.metrics.settings import ScoreSettings
from prune.settings import AT_LEAST_ONE, BELOW_ONE, FRACTION, NOT_NEGATIVE, POSITIVE, Interval, check_options, option
from prune.train.penalties import PENALTIES
from prune.train.settings import MODES, DistillSettings, SparsityMode, SparsitySettings, TrainSettings
from prune.train.strategies import STRATEGIES

ALL: list[type[Any]] = [
    *(AugmentSettings, CheckSettings, DetectSettings, DistillSettings, EvaluateSettings, ImageArgs, LossSettings),
    *(NmsSettings, RunArgs, ScoreSettings, SparsitySettings, TrainSettings, *PENALTIES.values(), *STRATEGIES.values()),
]


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "words"),
    [
        (NOT_NEGATIVE, (0, 7.5, math.inf), (-1e-9, math.nan), "0 or more"),
        (POSITIVE, (1e-9, 3), (0, -1, math.nan), "positive"),
        (AT_LEAST_ONE, (1, 99), (0, 0.999, math.nan), "at least 1"),
        (Interval(2, ends="()"), (2.1,), (2,), "above 2"),
        (FRACTION, (0, 0.5, 1), (-0.1, 1.1, math.nan), "within [0, 1]"),
        (BELOW_ONE, (0, 0.999), (1, -0.1), "within [0, 1)"),
        (Interval(0, 1, "(]"), (1, 0.001), (0, 1.1), "within (0, 1]"),
        (Interval(0, 2**31 - 1), (0, 2**31 - 1), (2**31, -1), "within [0, 2147483647]"),
    ],
)
def test_an_interval_contains_its_values_and_describes_itself(
    interval: Interval, inside: tuple[float, ...], outside: tuple[float, ...], words: str
) -> None:
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in outside)
    assert str(interval) == words


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: TrainSettings(epochs=0), "--epochs 0 must be at least 1"),
    (lambda: TrainSettings(lr=0.0), "--lr 0.0 must be positive"),
    (lambda: TrainSettings(lr_final=0.0), "--lr-final 0.0 must be within (0, 1]"),
    (lambda: TrainSettings(momentum=1.0), "--momentum 1.0 must be within [0, 1)"),
    (lambda: SparsitySettings(s=-1), "--s -1 must be 0 or more"),
    (lambda: DistillSettings(strategy="hints"), f"--strategy hints must be one of {', '.join(STRATEGIES)}"),
    (lambda: DistillSettings(distill_weight=-1), "--distill-weight -1 must be 0 or more"),
    (lambda: LossSettings(label_smoothing=1.5), "--label-smoothing 1.5 must be within [0, 1]"),
    (lambda: EvaluateSettings(conf_thres=1.0), "--conf-thres 1.0 must be within [0, 1)"),
    (lambda: EvaluateSettings(nms_thres=2.0), "--nms-thres 2.0 must be within [0, 1]"),
    (lambda: EvaluateSettings(batch_size=0), "--batch-size 0 must be at least 1"),
    (lambda: EvaluateSettings(points=5), "--points 5 must be one of 0, 11, 101"),  # type: ignore[arg-type]
    (lambda: EvaluateSettings(thresh=-0.5), "--thresh -0.5 must be within [0, 1)"),
    (lambda: DetectSettings(conf_thres=-1.0), "--conf-thres -1.0 must be within [0, 1)"),
    (lambda: NmsSettings(beta=0.0), "the exponent of DIoU-NMS 0.0 must be positive"),
    (lambda: NmsSettings(iou=1.5), "the NMS threshold 1.5 must be within [0, 1]"),
    (lambda: ImageArgs(batch_size=0), "--batch-size 0 must be at least 1"),
    (lambda: RunArgs(workers=-1), "--workers -1 must be 0 or more"),
    (lambda: RunArgs(seed=2**31), "--seed 2147483648 must be within [0, 2147483647]"),
    (lambda: CheckSettings(anchors=101), "--anchors 101 must be within [0, 100]"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_a_value_out_of_range_is_one_line_naming_flag_value_and_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize("group", ALL)
def test_every_range_contains_the_default_and_is_checked(group: type[Any]) -> None:
    group()
    for item in fields(group):
        if "within" in item.metadata:
            below = item.metadata["within"].low - 1
            with pytest.raises(UsageError, match="must be"):
                group(**{item.name: below})


def test_none_is_accepted_for_a_value_that_is_decided_elsewhere() -> None:
    assert TrainSettings(lr=None).lr is None
    assert EvaluateSettings(conf_thres=None).conf_thres is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """All that an option can say."""

    size: float = option(0.5, "how large", metavar="X", within=FRACTION, flags=("-z",))
    kind: str = option("round", "which kind", choices=("round", "square"))
    from_file: str | None = option(None, "read it", metavar="FILE", const="")
    keep: bool = option(True, "keep it", off="drop")
    words: tuple[str, ...] = option((), "words", parse=lambda text: tuple(text.split("+")))

    def __post_init__(self) -> None:
        check_options(self)


def test_an_option_becomes_a_flag_with_all_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("example", "none")
    add_options(parser, Example)
    given = "-z 0.25 --kind square --from-file --drop --words a+b".split()
    expected = Example(size=0.25, kind="square", from_file="", keep=False, words=("a", "b"))
    assert take(parser.parse_args(given), Example) == expected
    assert take(parser.parse_args([]), Example) == Example()
    with pytest.raises(UsageError, match=r"^--size 1.5 must be within \[0, 1\]$"):
        take(parser.parse_args(["--size", "1.5"]), Example)
    with pytest.raises(SystemExit):
        parser.parse_args(["--kind", "flat"])
    assert "invalid choice: 'flat'" in capsys.readouterr().err


def test_the_modes_of_sparsity_are_those_of_their_type() -> None:
    assert get_args(SparsityMode) == MODES
    assert MODES == ("constant", "global-decay", "local-decay")
