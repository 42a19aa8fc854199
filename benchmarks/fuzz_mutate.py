"""Seeded damage to cfg texts: that of editors, downloads and typing errors, and worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

Mutation = Callable[[str, Sequence[str], Random], str]

NUMBERS = (
    "0 1 -1 2 3 7 -2 -100 64 255 65536 1000000 1000001 1000000000 2147483648 -2147483649 99999999999999999999 1e9 "
    "1e308 -1e308 nan inf 0x10 1_000 0.5 1.5 -0.0 1, ,1 1,,2 -1,-1 -1,-2,-3,-4 １２ ٣ 3.0 3e0 +3 --3 1;2 1#2 abc"
).split()
HUGE = "9" * 5000
WORDS = (
    "leaky linear mish swish logistic relu per_feature per_channel softmax none Leaky greedynms ciou 'x' "
    "normalize_channels normalize_channels_softmax elu prelu stair hardtan lhtan ramp plse relie"
).split()
KEYS = (
    "filters size stride pad padding groups group_id dilation batch_normalize activation from layers classes num mask "
    "anchors stride_x stride_y maxpool_depth out_channels weights_type weights_normalization share_index flipped "
    "dontload scale reverse scale_wh output temperature softmax tree width height channels scale_x_y new_coords "
    "antialiasing coords bin_output stopbackward probability"
).split()
FITTING = (
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky",
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=1\nstride=1\ngroups=2\nactivation=swish",
    "[convolutional]\nbatch_normalize=1\nfilters=6\nsize=1\nstride=1\nshare_index=-1\nactivation=linear",
    "[shortcut]\nfrom=-2\nactivation=linear",
    "[shortcut]\nfrom=-2,-3\nweights_type=per_channel\nweights_normalization=softmax\nactivation=mish",
    "[maxpool]\nsize=3\nstride=1",
    "[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\nstride=1",
    "[local_avgpool]\nsize=3\nstride=1",
    "[route]\nlayers=-1\ngroups=2\ngroup_id=1",
    "[route]\nlayers=-1,-2",
    "[reorg]\nstride=2\nreverse=1",
    "[reorg3d]\nstride=2",
    "[upsample]\nstride=2",
    "[sam]\nfrom=-2",
    "[avgpool]\n[convolutional]\nfilters=8\nactivation=logistic\n[scale_channels]\nfrom=-3",
    "[connected]\noutput=8\nactivation=relu",
    "[softmax]\ngroups=1",
    "[dropout]",
)
KINDS = (
    "net network convolutional conv shortcut route upsample maxpool max avgpool avg dropout scale_channels sam reorg "
    "reorg3d yolo Gaussian_yolo region local_avgpool connected conn softmax soft crnn lstm detection local "
    "deconvolutional batchnorm cost crop Convolutional"
).split()
GARBAGE = (
    "\0",
    "\ufeff",
    "\u2028",
    "é",
    "💥",
    "\udc80",
    "\r",
    "\x0b",
    "\x1c",
    "\x85",
    "\t",
    " ",
    "=",
    "[",
    "]",
    "#",
    ";",
)


def mutate_cfg(text: str, corpus: Sequence[str], random: Random) -> str:
    """`text` after one to six changes; some take pieces from other texts of the `corpus`."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 6))):
        text = random.choice(_CFG_MUTATIONS)(text, corpus, random)
    return text


def _lines(text: str) -> list[str]:
    return text.split("\n")


def _delete_lines(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    at, count = random.randrange(len(lines)), random.choice((1, 1, 2, 8))
    return "\n".join(lines[:at] + lines[at + count :])


def _duplicate_lines(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    at, count, times = random.randrange(len(lines)), random.choice((1, 1, 6, 12)), random.choice((1, 1, 1, 40))
    return "\n".join(lines[:at] + lines[at : at + count] * times + lines[at:])


def _swap_lines(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def _edit_option(text: str, value: Callable[[str], str], random: Random) -> str:
    """Another value after the '=' of any option line."""
    lines = _lines(text)
    options = [i for i, line in enumerate(lines) if "=" in line and not line.lstrip().startswith("#")]
    if not options:
        return text
    at = random.choice(options)
    key, _, old = lines[at].partition("=")
    lines[at] = f"{key}={value(old)}"
    return "\n".join(lines)


def _set_number(text: str, _: Sequence[str], random: Random) -> str:
    return _edit_option(text, lambda old: random.choice((*NUMBERS, HUGE, old + "0", "-" + old)), random)


def _set_word(text: str, _: Sequence[str], random: Random) -> str:
    return _edit_option(text, lambda old: random.choice((*WORDS, "", old + "#", old + " # why", old * 2)), random)


def _edit_digit(text: str, _: Sequence[str], random: Random) -> str:
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    if not places:
        return text
    at = random.choice(places)
    return text[:at] + random.choice("0123456789-.") + text[at + 1 :]


def _mistype(text: str, _: Sequence[str], random: Random) -> str:
    at = random.randrange(len(text) + 1)
    return random.choice((text[:at] + text[at + 1 :], text[:at] + random.choice(GARBAGE) + text[at:]))


def _rename_section(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    headers = [i for i, line in enumerate(lines) if line.startswith("[")]
    if headers:
        lines[random.choice(headers)] = random.choice((f"[{random.choice(KINDS)}]", "[", "[]", "]", "[net"))
    return "\n".join(lines)


def _add_option(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    value = random.choice((*NUMBERS, *WORDS))
    lines.insert(random.randrange(len(lines) + 1), f"{random.choice(KEYS)}={value}")
    return "\n".join(lines)


def _add_section(text: str, _: Sequence[str], random: Random) -> str:
    """A whole section between two others, or a chain of them that doubles channels or pixels each time."""
    kind = random.choice(KINDS)
    section = "\n".join([f"[{kind}]", *(f"{random.choice(KEYS)}={random.choice(NUMBERS)}" for _ in range(3))])
    chains = ("[route]\nlayers=-1,-1", "[upsample]\nstride=64", "[reorg3d]\nstride=2", "[avgpool]", "[dropout]")
    piece = random.choice((section, random.choice(chains), "\n".join([random.choice(chains)] * 60)))
    lines = _lines(text)
    headers = [i for i, line in enumerate(lines) if line.startswith("[")] or [0]
    at = random.choice(headers)
    return "\n".join([*lines[:at], piece, *lines[at:]])


def _add_fitting_section(text: str, _: Sequence[str], random: Random) -> str:
    """A valid section after any other: often the network remains valid."""
    sections = text.split("\n[")
    sections.insert(random.randrange(1, len(sections) + 1), random.choice(FITTING).removeprefix("["))
    return "\n[".join(sections)


def _set_activation(text: str, _: Sequence[str], random: Random) -> str:
    lines = _lines(text)
    if options := [i for i, line in enumerate(lines) if line.startswith("activation")]:
        lines[random.choice(options)] = f"activation={random.choice(WORDS)}"
    return "\n".join(lines)


def _move_section(text: str, _: Sequence[str], random: Random) -> str:
    sections = text.split("\n[")
    piece = sections.pop(random.randrange(len(sections)))
    sections.insert(random.randrange(len(sections) + 1), piece)
    return "\n[".join(sections)


def _truncate(text: str, _: Sequence[str], random: Random) -> str:
    return text[: random.randrange(len(text) + 1)]


def _join(text: str, corpus: Sequence[str], random: Random) -> str:
    """The beginning of this text and the end of another."""
    other = random.choice(corpus)
    return text[: random.randrange(len(text) + 1)] + other[random.randrange(len(other) + 1) :]


def _windows(text: str, _: Sequence[str], random: Random) -> str:
    return random.choice(
        (text.replace("\n", "\r\n"), text.replace("\n", "\r"), "\ufeff" + text, text.replace("=", " = "))
    )


_CFG_MUTATIONS: tuple[Mutation, ...] = (
    _delete_lines,
    _duplicate_lines,
    _swap_lines,
    _set_number,
    _set_number,
    _set_number,
    _set_word,
    _edit_digit,
    _edit_digit,
    _mistype,
    _rename_section,
    _add_option,
    _add_option,
    _add_section,
    _add_fitting_section,
    _add_fitting_section,
    _add_fitting_section,
    _set_activation,
    _move_section,
    _truncate,
    _join,
    _windows,
)
