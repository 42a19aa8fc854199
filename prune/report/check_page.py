"""The result of `prune.check` as an HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prune.data.check import AnchorReport, CheckReport
from prune.data.examples import Example
from prune.report.check_text import FIT_HEADER, MEASURES, anchor_title, fit_row, measures, other_number, verdict
from prune.report.colours import class_colour
from prune.report.html import Raw, page, section, table, text
from prune.report.svg import example_svg, rgb, sizes_svg
from prune.samples.images import read_image
from prune.samples.issues import Issues

MOST_PLACES, MOST_CHIPS = 50, 12


def check_page(report: CheckReport, title: str) -> str:
    """The whole page: faults first, then the contents of the dataset."""
    return page(f"{title}: data check", _sections(report, title))


def _sections(report: CheckReport, title: str) -> Iterator[str]:
    yield f"<h1>{text(title)}</h1>"
    yield f'<p class="verdict {"bad" if report.faults else "good"}">{text(_capital(verdict(report)))}</p>'
    if report.faults:
        yield section("Faults", *_findings(report.faults))
    if report.faulty:
        yield section("Pictures of faults", _pictures(report.faulty, report.names))
    if report.remarks:
        yield section("Remarks", *_findings(report.remarks))
    yield section("Contents", _overview(report))
    yield section("Classes", _classes(report))
    if report.anchors:
        yield section("Box sizes and anchors", *_anchors(report.anchors))
    yield section("Examples", _pictures(report.examples, report.names))


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]


def _findings(faults: Issues) -> Iterator[str]:
    for kind, count in faults.counts.items():
        places = faults.places(kind)
        items = "".join(f"<li>{text(place)}</li>" for place in places[:MOST_PLACES])
        if count > MOST_PLACES:
            more = " (--json has them)" if count == len(places) else f" (--json has the first {len(places):,})"
            items += f"<li>… and {count - MOST_PLACES:,} more{more}</li>"
        opened = " open" if count <= 5 else ""
        yield f"<details{opened}><summary><b>{count:,}</b> {text(kind)}</summary><ul>{items}</ul></details>"


def _overview(report: CheckReport) -> str:
    values = [measures(split) for split in report.splits.values()]
    note = "<p>Three numbers are minimum, median and maximum.</p>"
    return table(("", *report.splits), list(zip(MEASURES, *values, strict=True))) + note


def _classes(report: CheckReport) -> str:
    splits = report.splits
    most = {name: max(1, *split.class_objects) for name, split in splits.items()}
    rows = []
    for label, name in enumerate(report.names):
        cells: list[object] = [name]
        for split, statistics in splits.items():
            count = statistics.class_objects[label]
            cells.append(Raw(f"{count:,} in {statistics.class_images[label]:,}{_bar(count / most[split])}"))
        rows.append(cells)
    return table(("class", *splits), rows) + "<p>Objects in number of images.</p>"


def _bar(share: float) -> str:
    bar = f'<span class="bar" style="width:{100 * share:.1f}%"></span>' if share else ""
    return f'<span class="barbox">{bar}</span>'


def _anchors(anchors: AnchorReport) -> Iterator[str]:
    yield f"<p>{text(anchor_title(anchors))}.</p>"
    rows = [fit_row("of the cfg (○)", anchors.before)] if anchors.before else []
    yield table(FIT_HEADER, [*rows, fit_row("k-means (+)", anchors.after)])
    yield f"<pre>{text(anchors.after.text())}</pre>"
    if anchors.text:
        yield f"<p>Write them into the cfg:</p><pre>python -m prune.adapt CFG --anchors {text(anchors.text)} …</pre>"
    if hint := other_number(anchors):
        yield f"<p>{text(_capital(hint))}.</p>"
    yield f'<div class="chart">{sizes_svg(anchors.sizes, anchors.after, anchors.before, anchors.net_wh)}</div>'


def _pictures(examples: Sequence[Example], names: Sequence[str]) -> str:
    return f'<div class="pictures">{"".join(_figure(example, names) for example in examples)}</div>'


def _figure(example: Example, names: Sequence[str]) -> str:
    image = read_image(example.sample.image, example.size_wh)
    if image is None:  # deleted since it was checked
        return ""
    caption = f'{text(_capital(example.title))}<span class="file">{text(example.sample.image.name)}</span>'
    caption += _legend(example, names)
    return f"<figure>{example_svg(example, image, names)}<figcaption>{caption}</figcaption></figure>"


def _legend(example: Example, names: Sequence[str]) -> str:
    counts = Counter(example.sample.classes.tolist()).most_common()
    chips = "".join(
        f'<span class="chip"><i style="background:{rgb(class_colour(label))}"></i>{text(names[label])} × {count}</span>'
        for label, count in counts[:MOST_CHIPS]
    )
    more = f'<span class="chip">and {len(counts) - MOST_CHIPS} more classes</span>' if len(counts) > MOST_CHIPS else ""
    return chips + more
