"""Words of other programs in a cfg, and Darknet's equivalents."""

from __future__ import annotations

import difflib
from collections.abc import Collection

ACTIVATIONS = {
    "silu": "swish",
    "none": "linear",
    "identity": "linear",
    "id": "linear",
    "null": "linear",
    "no": "linear",
    "lrelu": "leaky",
    "leakyrelu": "leaky",
    "sigmoid": "logistic",
    "hswish": "h_swish",
    "hardswish": "h_swish",
    "hardtanh": "hardtan",
    "htanh": "hardtan",
    "hmish": "hard_mish",
    "rectify": "relu",
    "rectified": "relu",
}
"""Other programs' activations without case and punctuation (see `plain`) → Darknet's that computes the same."""

UNTRANSLATABLE = frozenset("prelu rrelu celu crelu softplus softsign glu hardsigmoid hsigmoid threshold".split())
"""Other programs' activations without an equivalent in Darknet, however similar their names are to some of its own."""

_HALF = (
    "write [route] with groups=2 group_id=0 where it takes the first half of the channels, as PyTorch programs do, "
    "and groups=2 group_id=1 for the second half, as in Darknet's yolov4-tiny"
)
_SQUEEZE = "write [avgpool], two [convolutional] with size=1 and [scale_channels] with from="
_YOLOV1 = "belongs to YOLOv1 or a classifier; this project reads detectors with [yolo], [Gaussian_yolo] or [region]"
_CLASSIFIER = "belongs to a classifier, not to a detector; remove it, or take a cfg with [yolo] or [region]"
_TRANSPOSED = "write [upsample] and a [convolutional] instead (a transposed convolution cannot be converted exactly)"
_RECURRENT = "recurrent networks cannot be pruned here"

REWRITTEN = {
    "conv2d": "write [convolutional]",
    "convolution": "write [convolutional]",
    "convolution2d": "write [convolutional]",
    "cbl": "write [convolutional] with batch_normalize=1",
    "depthwiseconvolutional": "write [convolutional] with groups= set to its number of input channels",
    "depthwise": "write [convolutional] with groups= set to its number of input channels",
    "dwconv": "write [convolutional] with groups= set to its number of input channels",
    "batchnorm": "set batch_normalize=1 in the [convolutional] before it",
    "batchnorm2d": "set batch_normalize=1 in the [convolutional] before it",
    "bn": "set batch_normalize=1 in the [convolutional] before it",
    "activation": "set activation= in the section before it",
    "active": "set activation= in the section before it",
    "maxpool2d": "write [maxpool]",
    "maxpooling": "write [maxpool]",
    "pool": "write [maxpool]",
    "avgpool2d": "write [local_avgpool] for a window, [avgpool] for the whole map",
    "averagepool": "write [local_avgpool] for a window, [avgpool] for the whole map",
    "globalavgpool": "write [avgpool]",
    "gap": "write [avgpool]",
    "dropout2d": "write [dropout]",
    "upsample2d": "write [upsample]",
    "upsampling": "write [upsample]",
    "interpolate": "write [upsample]",
    "deconvolutional": _TRANSPOSED,
    "deconv": _TRANSPOSED,
    "convtranspose": _TRANSPOSED,
    "convtranspose2d": _TRANSPOSED,
    "add": "write [shortcut]",
    "residual": "write [shortcut]",
    "concat": "write [route]",
    "concatenate": "write [route]",
    "routelhalf": _HALF,
    "route2": "write [route]",
    "route3": "write [route]",
    "se": _SQUEEZE,
    "semodule": _SQUEEZE,
    "squeezeexcite": _SQUEEZE,
    "fc": "write [connected]",
    "dense": "write [connected]",
    "linear": "write [connected]",
    "fullyconnected": "write [connected]",
    "yolov3": "write [yolo]",
    "yololayer": "write [yolo]",
    "detect": "write [yolo]",
}
"""Other programs' sections, as `plain` makes them → what to write for them."""

REFUSED = {
    "cost": _CLASSIFIER,
    "crop": _CLASSIFIER,
    "logistic": _CLASSIFIER,
    "logxent": _CLASSIFIER,
    "contrastive": _CLASSIFIER,
    "local": _YOLOV1,
    "detection": _YOLOV1,
    "iseg": "belongs to instance segmentation, which cannot be pruned here",
    "captcha": "belongs to a captcha reader, which cannot be pruned here",
    "normalization": "local response normalization is not in any YOLO network and cannot be pruned here",
    "lrn": "local response normalization is not in any YOLO network and cannot be pruned here",
    "l2norm": "normalization over the channels is only read as activation=normalize_channels",
    "implicitadd": "the implicit layers of YOLOR cannot be pruned here",
    "implicitmul": "the implicit layers of YOLOR cannot be pruned here",
    "crnn": _RECURRENT,
    "rnn": _RECURRENT,
    "lstm": _RECURRENT,
    "convlstm": _RECURRENT,
    "gru": _RECURRENT,
    "history": _RECURRENT,
}
"""Sections that are not read, as `plain` makes them → why not."""


def plain(word: str) -> str:
    """A word in lower case without blanks and punctuation, for comparison: `Leaky_ReLU` → `leakyrelu`."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


def activation_hint(word: str, known: Collection[str]) -> str:
    """The end of an error about an activation that is not in `known`: what to write for it."""
    alike = {plain(name): name for name in known} | ACTIVATIONS
    if plain(word) in alike:
        return f"write activation={alike[plain(word)]}"
    close = [] if plain(word) in UNTRANSLATABLE else difflib.get_close_matches(plain(word), alike, n=1, cutoff=0.75)
    guess = f"did you mean {alike[close[0]]}? " if close else ""
    return f"{guess}known are {', '.join(known)}"


def section_hint(word: str, known: Collection[str]) -> str:
    """The end of an error about a section that is not in `known`: what to write, or why it is not read."""
    if plain(word) in REFUSED:
        return f": {REFUSED[plain(word)]}"
    if plain(word) in REWRITTEN:
        return f"; {REWRITTEN[plain(word)]}"
    alike = {plain(name): name for name in known}
    close = difflib.get_close_matches(plain(word), alike, n=1, cutoff=0.75)
    return f"; write [{alike[close[0]]}]" if close else f"; supported are {', '.join(sorted(known))}"
