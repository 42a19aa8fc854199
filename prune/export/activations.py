"""Darknet's activations as ONNX nodes; the same names and formulas as in `prune.darknet.activations`."""

from __future__ import annotations

from collections.abc import Callable

from prune.darknet.activations import NORMALIZE_EPSILON
from prune.export.operators import Operators

Activation = Callable[[Operators, str], str]


def _plain(op: str, **attributes: float) -> Activation:
    """One operator of the standard."""
    return lambda ops, x: ops.add(op, x, **attributes)


def _gated(gate: Activation) -> Activation:
    """x · gate(x)."""
    return lambda ops, x: ops.add("Mul", x, gate(ops, x))


def _clipped(low: float, high: float) -> Activation:
    return lambda ops, x: ops.clip(x, low, high)


def _ramp(ops: Operators, x: str) -> str:
    return ops.add("Add", ops.add("Relu", x), ops.times(x, 0.1))


def _loggy(ops: Operators, x: str) -> str:
    return ops.plus(ops.times(ops.add("Sigmoid", x), 2.0), -1.0)


def _softplus_tanh(ops: Operators, x: str) -> str:
    """The gate of Mish, which is an operator of its own only from opset 18 on."""
    return ops.add("Tanh", ops.add("Softplus", x))


def _gelu(ops: Operators, x: str) -> str:
    cube = ops.add("Mul", ops.add("Mul", x, x), x)
    inner = ops.add("Add", ops.times(x, 0.797885), ops.times(cube, 0.035677))
    return ops.add("Mul", ops.times(x, 0.5), ops.plus(ops.add("Tanh", inner), 1.0))


def _bent(low: float, high: float, slope: float, offset: float, outside: float) -> Activation:
    """slope · x + offset within [low, high]; beyond, it goes on with the slope `outside`."""

    def build(ops: Operators, x: str) -> str:
        inside = ops.clip(x, low, high)
        line = ops.plus(ops.times(inside, slope), offset)
        return ops.add("Add", line, ops.times(ops.add("Sub", x, inside), outside))

    return build


def _stair(ops: Operators, x: str) -> str:
    """floor(x/2), plus the fraction of x where floor(x) is odd."""
    floor = ops.add("Floor", x)
    half = ops.add("Floor", ops.times(x, 0.5))
    odd = ops.add("Sub", floor, ops.times(half, 2.0))
    return ops.add("Add", half, ops.add("Mul", odd, ops.add("Sub", x, floor)))


def _share(ops: Operators, x: str) -> str:
    """x over its sum across the channels."""
    total = ops.add("ReduceSum", x, ops.integers(1), keepdims=1)
    return ops.add("Div", x, ops.plus(total, NORMALIZE_EPSILON))


def _below_largest(ops: Operators, x: str) -> str:
    return ops.add("Sub", x, ops.add("ReduceMax", x, axes=[1], keepdims=1))


ACTIVATIONS: dict[str, Activation] = {
    "linear": lambda ops, x: x,
    "leaky": _plain("LeakyRelu", alpha=0.1),
    "revleaky": _plain("LeakyRelu", alpha=0.1),
    "relu": _plain("Relu"),
    "relu6": _clipped(0.0, 6.0),
    "relie": _plain("LeakyRelu", alpha=0.01),
    "ramp": _ramp,
    "logistic": _plain("Sigmoid"),
    "loggy": _loggy,
    "tanh": _plain("Tanh"),
    "hardtan": _clipped(-1.0, 1.0),
    "lhtan": _bent(0.0, 1.0, 1.0, 0.0, 0.001),
    "plse": _bent(-4.0, 4.0, 0.125, 0.5, 0.01),
    "stair": _stair,
    "elu": _plain("Elu", alpha=1.0),
    "selu": _plain("Selu", alpha=1.6732, gamma=1.0507),
    "gelu": _gelu,
    "swish": _gated(_plain("Sigmoid")),
    "mish": _gated(_softplus_tanh),
    "hard_mish": _gated(_plain("HardSigmoid", alpha=0.5, beta=1.0)),
    "h_swish": _gated(_plain("HardSigmoid", alpha=1 / 6, beta=0.5)),
    "normalize_channels": lambda ops, x: _share(ops, ops.add("Relu", x)),
    "normalize_channels_softmax": lambda ops, x: _share(ops, ops.add("Exp", x)),
    "normalize_channels_softmax_maxval": lambda ops, x: _share(ops, ops.add("Exp", _below_largest(ops, x))),
}
"""Name in the cfg → what adds its nodes for maps (N, C, H, W) and returns the name of the result."""
