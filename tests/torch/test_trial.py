"""A trial measures every candidate of a network in the same way, and writes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from prune.darknet.weights import random_weights
from prune.detect.evaluate import examine
from prune.detect.settings import EvaluateSettings
from prune.errors import PlanError, UsageError
from prune.graph.channels import EVERYTHING, trace_groups
from prune.graph.cost import network_cost
from prune.model.files import network_of
from prune.plan.channel import ChannelPolicy, plan_channels
from prune.plan.types import PrunePlan
from prune.samples.sample import Sample, SampleSet
from prune.surgery.apply import apply
from prune.trial import Trial
from tests.torch.heads import two_heads

NETDEF = two_heads(size=64)
WEIGHTS = random_weights(NETDEF, np.random.default_rng(3))
SETTINGS = EvaluateSettings(ap="voc10", batch_size=2)


def cut(percent: float) -> PrunePlan:
    return plan_channels(trace_groups(NETDEF, EVERYTHING), WEIGHTS, ChannelPolicy(percent=percent, rule="share"))


@pytest.fixture
def samples(tmp_path: Path) -> SampleSet:
    """Two grey images with an object each."""
    found, no = [], np.zeros(1, np.bool_)
    for number in range(2):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((64, 64, 3), 60 + 90 * number, np.uint8))
        box, classes = np.array([[8.0, 8.0, 40.0, 48.0]]), np.array([number], np.int64)
        found.append(Sample(path, box, classes, no, no, image_id=number, size_wh=(64, 64)))
    return SampleSet(tuple(found), ("cat", "dog"), "voc")


def test_the_score_of_a_plan_is_what_its_pruned_network_costs_and_detects(samples: SampleSet) -> None:
    trial, plan = Trial(NETDEF, WEIGHTS, samples, SETTINGS, "cpu"), cut(0.5)
    facts, pruned = trial.score(plan), apply(NETDEF, WEIGHTS, plan)
    metrics, _, _ = examine(network_of(pruned.netdef, pruned.weights, "cpu"), samples, SETTINGS)
    assert facts.cost == network_cost(pruned.netdef)
    assert facts.cost.parameters < trial.original().cost.parameters
    assert facts.metrics is not None
    assert facts.metrics.summary() == metrics.summary()
    assert facts.summary()["parameters"] == facts.cost.parameters
    assert facts.summary()["ap50"] == metrics.ap50


def test_a_plan_that_cuts_nothing_scores_as_the_original_does(samples: SampleSet) -> None:
    trial = Trial(NETDEF, WEIGHTS, samples, SETTINGS, "cpu")
    assert trial.score(cut(0.0)).summary() == trial.original().summary()


def test_scoring_leaves_network_and_weights_as_they_were(samples: SampleSet) -> None:
    before = [array.copy() for record in WEIGHTS.records.values() for array in record.arrays()]
    Trial(NETDEF, WEIGHTS, samples, SETTINGS, "cpu").score(cut(0.7))
    after = [array for record in WEIGHTS.records.values() for array in record.arrays()]
    assert all(map(np.array_equal, before, after))


def test_without_images_only_the_cost_is_measured_at_the_requested_size() -> None:
    facts = Trial(NETDEF, WEIGHTS, None, replace(SETTINGS, img_size=(128, 96))).score(cut(0.5))
    assert facts.metrics is None
    assert facts.cost == network_cost(apply(NETDEF, WEIGHTS, cut(0.5)).netdef, 128, 96)
    assert set(facts.summary()) == {"parameters", "bflops", "weights_bytes", "channels", "layers"}


def test_an_image_that_cannot_be_decoded_is_named_in_the_facts(samples: SampleSet) -> None:
    samples.samples[1].image.write_bytes(b"no image")
    facts = Trial(NETDEF, WEIGHTS, samples, SETTINGS, "cpu").original()
    assert facts.undecoded.total == 1
    assert str(samples.samples[1].image) in next(facts.undecoded.lines())


def test_a_plan_for_other_weights_and_data_of_other_classes_are_refused(samples: SampleSet) -> None:
    other = random_weights(NETDEF, np.random.default_rng(4))
    with pytest.raises(PlanError):
        Trial(NETDEF, other, samples, SETTINGS, "cpu").score(cut(0.5))
    with pytest.raises(UsageError, match="2 classes and the data 1"):
        Trial(NETDEF, WEIGHTS, replace(samples, names=("cat",)), SETTINGS, "cpu").original()
