"""Divergences between the scores of student and teacher."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from prune.darknet.head_rules import HeadRules, head_rules
from prune.darknet.layers import Head
from prune.detect.heads import split_head
from prune.detect.loss import as_logits


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(teacher || student) of the Bernoulli distributions of two logits at `temperature`, times temperature².

    0 where both agree. The square keeps the gradient's size independent of the temperature: Hinton et al.
    2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    target = (teacher / temperature).sigmoid()
    cross = F.binary_cross_entropy_with_logits(student / temperature, target, reduction="none")
    own = F.binary_cross_entropy_with_logits(teacher / temperature, target, reduction="none")
    return (cross - own) * temperature**2


def class_divergence(student: Tensor, teacher: Tensor, rules: HeadRules, temperature: float = 1.0) -> Tensor:
    """Divergence of class scores (B, A, C, H, W) → (B, A, H, W): summed over independent classes, KL(teacher ||
    student) at `temperature` (times its square) of a softmax, and the squared difference of linear scores.
    """
    if rules.class_kind == "linear":
        return (student - teacher).square().sum(2)
    if rules.class_kind == "softmax":
        own, target = ((values / temperature).log_softmax(2) for values in (student, teacher))
        return (target.exp() * (target - own)).sum(2) * temperature**2
    own, target = (as_logits(values, rules.probable) for values in (student, teacher))
    return binary_divergence(own, target, temperature).sum(2)


def divergences(ours: Tensor, theirs: Tensor, head: Head, temperature: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """(B, A, H, W) each: the teacher's objectness, and the divergences of objectness and of the classes."""
    rules, own, other = head_rules(head), split_head(ours, head), split_head(theirs, head)
    own_object, object_ = (as_logits(values[:, :, 4], rules.probable) for values in (own, other))
    classes = class_divergence(own[:, :, 5:], other[:, :, 5:], rules, temperature)
    return object_.sigmoid(), binary_divergence(own_object, object_, temperature), classes
