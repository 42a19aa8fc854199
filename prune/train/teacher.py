"""Checks that teacher and student fit together."""

from __future__ import annotations

from collections.abc import Sequence

from prune.darknet.head_rules import head_rules
from prune.darknet.layers import Head
from prune.darknet.netdef import NetDef
from prune.errors import UsageError


def check_heads(student: Sequence[Head], teacher: Sequence[Head]) -> None:
    """Raise UsageError unless both networks have the same heads in the same order."""
    if len(student) != len(teacher):
        raise UsageError(f"the teacher has {len(teacher)} detection heads, the student {len(student)}: they must agree")
    for number, (ours, theirs) in enumerate(zip(student, teacher, strict=True)):
        mine, others = _what_must_agree(ours), _what_must_agree(theirs)
        for what, other in others.items():
            if mine[what] != other:
                raise UsageError(
                    f"[{ours.kind}] head {number}: {what} is {other} in the teacher and {mine[what]} in the student; "
                    "heads must agree: use a teacher trained with the student's heads"
                )


def _what_must_agree(head: Head) -> dict[str, object]:
    rules = head_rules(head)
    return {
        "kind": f"[{head.kind}]",
        "classes": head.classes,
        "masked_anchors": head.masked_anchors,
        "new_coords": rules.probable,
        "scale_x_y": rules.scale_x_y,
        "the class score": rules.class_kind,
    }


def check_images(student: NetDef, teacher: NetDef) -> None:
    """Raise UsageError unless both networks read the same images, RGB or grayscale: both get the same batch."""
    ours, theirs = student.net.channels, teacher.net.channels
    if ours != theirs:
        raise UsageError(
            f"{teacher.path}: channels={theirs} in [net], but the student {student.path} has channels={ours}; "
            f"both read the same images: use a teacher trained with channels={ours}"
        )
