"""`darknet-prune explain CFG`: a readable overview of layers, costs, prune groups and residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prune.cli import Parser, add_options, setup_logging, take
from prune.cli.targets import WidthArgs, format_reach
from prune.darknet.layers import Convolutional, Layer, Maxpool, Upsample
from prune.darknet.netdef import read_netdef
from prune.graph.blocks import ResidualBlock, find_blocks
from prune.graph.channels import ChannelGraph, PruneGroup, trace_groups
from prune.graph.cost import LayerCost, layer_costs, network_cost
from prune.graph.scope import Scope
from prune.plan.channel import ChannelPolicy
from prune.plan.fit import channel_reach
from prune.plan.widths import Widths
from prune.report.tables import format_table
from prune.report.visible import visible_lines

EXAMPLE = "python -m prune.explain cfg/toy.cfg"


def explain(graph: ChannelGraph, widths: Widths) -> str:
    """The whole output of the command."""
    costs = layer_costs(graph.netdef)
    parts = [_layer_table(graph, costs), _groups(graph), _blocks(graph), _lists(graph), _reach(graph, widths)]
    return "\n\n".join([*parts, _total(graph)])


def _reach(graph: ChannelGraph, widths: Widths) -> str:
    return f"What prune_channel.py can leave:\n{format_reach(channel_reach(graph, widths))}"


def _layer_table(graph: ChannelGraph, costs: Sequence[LayerCost]) -> str:
    rows = [
        [
            layer.index,
            _what(layer),
            _reads(layer),
            _shape(cost),
            f"{cost.flops / 1e9:.4f}",
            cost.parameters or None,
            _group(graph, layer),
        ]
        for layer, cost in zip(graph.netdef.layers, costs, strict=True)
    ]
    return format_table(("layer", "kind", "reads", "output", "BFLOPs", "parameters", "group"), rows)


def _what(layer: Layer) -> str:
    match layer:
        case Convolutional():
            norm, groups = (
                (" BN" if layer.batch_normalize else ""),
                (f" groups={layer.groups}" if layer.groups > 1 else ""),
            )
            return f"convolutional {layer.size}x{layer.size}/{layer.stride_x}{groups}{norm} {layer.activation}"
        case Maxpool():
            return f"maxpool {layer.size}/{layer.stride_x}"
        case Upsample():
            return f"upsample x{layer.stride}"
        case _:
            return layer.kind


def _reads(layer: Layer) -> str:
    return ", ".join("image" if source < 0 else str(source) for source in layer.inputs)


def _shape(cost: LayerCost) -> str:
    return f"{cost.shape.channels} x {cost.shape.height} x {cost.shape.width}"


def _group(graph: ChannelGraph, layer: Layer) -> str:
    if not isinstance(layer, Convolutional):
        return ""
    group = graph.group(layer.index)
    return f"{group.id}" if group.frozen is None else f"{group.id} frozen"


def _groups(graph: ChannelGraph) -> str:
    rows = [
        [group.id, group.width, ", ".join(map(str, group.producers)), _about(group)]
        for group in graph.groups
        if group.producers
    ]
    title = "Prune groups: channels that can only be pruned together (produced by the layers listed)."
    return f"{title}\n{format_table(('group', 'channels', 'layers', ''), rows)}"


def _about(group: PruneGroup) -> str:
    if group.frozen is not None:
        return f"frozen: {group.frozen}"
    words = []
    if group.shortcuts:
        words.append("tied by shortcut " + ", ".join(map(str, group.shortcuts)))
    words += [f"{len(parts)} parts must keep equal numbers of channels" for parts in group.equal]
    for producer, slots in group.members.items():
        if len(set(slots.tolist())) < len(slots):
            words.append(f"several channels of layer {producer} can only be pruned together")
    return "; ".join(words)


def _blocks(graph: ChannelGraph) -> str:
    rows = [
        [
            block.shortcut,
            f"{block.body[0]}-{block.body[-1]}" if block.body else None,
            ", ".join(map(str, block.skips)) if block.body else None,
            _removable(block),
        ]
        for block in find_blocks(graph.netdef, graph.scope)
    ]
    if not rows:
        return "Residual blocks: none."
    return "Residual blocks: shortcut = skip + body.\n" + format_table(("shortcut", "body", "skip", ""), rows)


def _removable(block: ResidualBlock) -> str:
    if block.reason is not None:
        return f"not removable: {block.reason}"
    if block.replaced:
        return "removable; a depthwise convolution takes the place of its shortcut"
    return "removable; its shortcut stays" if block.shortcut_stays else "removable"


def _lists(graph: ChannelGraph) -> str:
    lists = {
        "CBL (with batch norm)": graph.cbl,
        "Conv (without)": graph.conv,
        "prune (CBL that can be pruned)": graph.prunable_layers,
        "ignore (CBL that cannot)": graph.frozen_layers,
    }
    return "\n".join(f"{name}: {len(indices)} [{', '.join(map(str, indices))}]" for name, indices in lists.items())


def _total(graph: ChannelGraph) -> str:
    netdef, cost = graph.netdef, network_cost(graph.netdef)
    size = f"{netdef.net.width} x {netdef.net.height}"
    return (
        f"{netdef.path}: {cost.layers} layers, {cost.parameters:,} parameters ({cost.weights_bytes / 1e6:.1f} MB), "
        f"{cost.bflops:.3f} BFLOPs at {size}; {graph.channels(graph.prunable_layers):,} of {cost.channels:,} channels "
        "can be pruned"
    )


def make_parser() -> Parser:
    parser = Parser("Show the layers of a cfg, their cost, and what can be pruned.", EXAMPLE)
    parser.add_argument("cfg", type=Path, metavar="CFG", help="the cfg to explain")
    add_options(parser, Scope)
    add_options(parser, ChannelPolicy, omit=("percent", "rule"))
    add_options(parser, WidthArgs)
    return parser


def main() -> int:
    namespace = make_parser().parse_args()
    setup_logging(quiet=False)
    graph = trace_groups(read_netdef(namespace.cfg), take(namespace, Scope))
    widths = take(namespace, WidthArgs).widths(graph, take(namespace, ChannelPolicy).layer_keep)
    print(visible_lines(explain(graph, widths)))
    return 0
