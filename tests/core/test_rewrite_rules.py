"""Single rules of rewriting a cfg: which form a reference keeps, and what it names where layers are removed."""

from __future__ import annotations

import pytest

from prune.darknet.netdef import NetDef, format_netdef, parse_netdef
from prune.errors import UsageError
from prune.graph.channels import trace_groups
from prune.surgery.classes import adapt_classes
from tests.applied_plans import BLOCK, applied
from tests.given_gammas import with_gammas
from tests.small_cfgs import ADD, HEAD, NET, cbl


def without(layers: str, *removed: int) -> NetDef:
    """A network without some of its blocks."""
    netdef = parse_netdef(NET + layers + HEAD)
    return applied(netdef, with_gammas(trace_groups(netdef), {}), removed=removed).netdef


@pytest.mark.parametrize(("before", "after"), [("0", "0"), ("-4", "-1")])
def test_a_reference_to_the_first_layer_stays_relative_or_absolute(before: str, after: str) -> None:
    text = format_netdef(without(cbl(4) + BLOCK + f"from=-3\n[route]\nlayers=-1,{before}\n" + cbl(4), 3))
    assert f"layers=-1,{after}\n" in text


@pytest.mark.parametrize("text", ["layers= 0 , 0\n", "layers=00,0\n"])
def test_references_that_do_not_change_keep_their_text(text: str) -> None:
    layers = cbl(4) + f"[route]\n{text}" + cbl(4) + BLOCK + "from=-3\n" + cbl(4)
    assert text in format_netdef(without(layers, 5))


def test_where_fewer_inputs_remain_than_were_named_mixed_references_become_absolute() -> None:
    """Layer 2 ends a body. Of from=0,-2 layer 0 is brought before the shortcut by a route; only layer 1 is named."""
    layers = cbl(4) + cbl(4) + cbl(4) + ADD + "from=0,-2\n[route]\nlayers=3,1\n" + cbl(4)
    netdef = without(layers, 3)
    (shortcut,) = (layer for layer in netdef.layers if layer.kind == "shortcut")
    assert [netdef.layers[2].kind, netdef.layers[2].inputs, shortcut.inputs] == ["route", (0,), (2, 1)]
    assert shortcut.section.options["from"].value == "1"


def test_a_layer_whose_floats_were_named_through_a_removed_layer_names_their_owner() -> None:
    layers = cbl(4) + cbl(4) + cbl(4, share_index=1) + ADD + "from=1\n" + cbl(4, share_index=2) + cbl(2)
    netdef = without(layers, 3)
    (sharing,) = (layer for layer in netdef.convolutions if layer.share is not None)
    assert (sharing.index, sharing.share) == (2, 1)


@pytest.mark.parametrize("anchor", [0.0, -1.0])
def test_an_anchor_without_a_size_is_refused(anchor: float) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        adapt_classes(parse_netdef(NET + cbl(4) + HEAD), 1, (anchor, 2.0))
