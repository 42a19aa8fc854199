"""The time of an evaluation by steps: `python -m benchmarks.eval_speed [--help]`.

A run of the real loop gives the total; a second pass that times each step, without overlap, gives the shares. By
default the official yolov3-tiny at 416 on coco-mini's 79 images at confidence 0.001.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.places import ROOT, SHARED, require
from prune.darknet.datafile import read_names
from prune.darknet.netdef import read_netdef
from prune.darknet.weights import read_weights
from prune.detect.decode import decode
from prune.detect.evaluate import detect, evaluate, make_loader, network_input, nms_settings, one_thread, select
from prune.detect.settings import EvaluateSettings
from prune.loading.dataset import EvalDataset
from prune.loading.loaders import EvalBatch
from prune.metrics.detections import Detected
from prune.metrics.measure import measure
from prune.metrics.result import Inference
from prune.model.build import DarknetModel
from prune.model.fused import fused
from prune.model.state import load_weights
from prune.report.tables import format_table
from prune.samples.coco_json import read_coco
from prune.samples.fit import fit_for, fit_image, size_of
from prune.samples.sample import SampleSet


class Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start


@torch.inference_mode()
def one_by_one(model: DarknetModel, samples: SampleSet, settings: EvaluateSettings, clock: Clock) -> None:
    """Every step by itself, none in parallel."""
    dataset: EvalDataset = make_loader(model, samples, settings).dataset
    chosen, found = nms_settings(model, settings), list[Detected]()
    for start in range(0, len(dataset), settings.batch_size):
        indices = range(start, min(start + settings.batch_size, len(dataset)))
        with clock("decode images"):
            images = [image for index in indices if (image := dataset.images[index]) is not None]
        with clock("fit"):
            fits = [fit_for(size_of(image), dataset.img_size_wh, dataset.letterbox) for image in images]
            stack = np.stack([fit_image(image, fit) for image, fit in zip(images, fits, strict=True)])
            imgs = torch.from_numpy(np.ascontiguousarray(stack.transpose(0, 3, 1, 2)))
        batch = EvalBatch(imgs, tuple(fits), tuple(samples.samples[index] for index in indices))
        with clock("to float"):
            taken = network_input(imgs, torch.device("cpu"))
        with clock("forward"):
            raw = model(taken)
        with one_thread(), clock("decode heads"):
            decoded = decode(raw, model.heads, dataset.img_size_wh)
        with one_thread(), clock("NMS"):
            found += select(decoded, batch, chosen)
    with clock("AP"):
        measure(found, samples, settings, Inference(img_size=(0, 0), fit="stretch", conf=settings.nms.conf, nms=0.6))


def whole(model: DarknetModel, samples: SampleSet, settings: EvaluateSettings) -> float:
    """Seconds of the real loop, which loads in parallel to the network; without AP, which is computed once at the
    end."""
    loader, chosen = make_loader(model, samples, settings), nms_settings(model, settings)
    start = time.perf_counter()
    detect(model, loader, chosen)
    return time.perf_counter() - start


def report(clock: Clock, total: float, images: int) -> str:
    """The table of shares, and the time added to the forward pass."""
    forward, ap = clock.seconds["forward"], clock.seconds["AP"]
    rows = [[name, 1e3 * s / images, f"{s / forward:.0%}"] for name, s in clock.seconds.items()]
    rows.append(["real loop, loading in parallel", 1e3 * total / images, f"{total / forward:.0%}"])
    added = (total + ap - forward) / forward
    table = format_table(["step", "ms per image", "of the forward pass"], rows)
    beside = (sum(clock.seconds.values()) - forward) / forward
    return (
        f"{table}\nreal loop and AP add {added:.0%} to the forward pass (the aim is at most 50 %; "
        f"one after the other the steps add {beside:.0%})"
    )


def load(cfg: Path, weights: Path, fuse: bool) -> DarknetModel:
    """A network ready to run."""
    netdef = read_netdef(cfg)
    load_weights(model := DarknetModel(netdef), read_weights(weights, netdef))
    return fused(model) if fuse else model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", type=Path, default=ROOT / "cfg" / "yolov3-tiny.cfg")
    parser.add_argument("--weights", type=Path, default=SHARED / "weights" / "yolov3-tiny.weights")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--ap", default="coco", choices=("coco", "voc07", "voc10", "darknet"))
    parser.add_argument("--no-fuse", action="store_true", help="keep the batch norms")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of N runs is reported", metavar="N")
    args = parser.parse_args()
    folder = SHARED / "coco-mini"
    require(args.cfg, args.weights, folder)
    model = load(args.cfg, args.weights, not args.no_fuse)
    names = read_names(ROOT / "data" / "coco.names")
    samples = read_coco(folder / "annotations" / "instances_val2017.json", names, folder / "val2017")
    settings = EvaluateSettings(ap=args.ap, conf_thres=0.001, batch_size=args.batch_size, fuse=False)
    settings = settings.for_source(samples.source)
    evaluate(model, samples, settings)  # warms up
    clock, totals = Clock(), []
    for _ in range(args.repeats):
        latest = Clock()
        one_by_one(model, samples, settings, latest)
        totals.append(whole(model, samples, settings))
        for name, seconds in latest.seconds.items():
            clock.seconds[name] = min(clock.seconds.get(name, seconds), seconds)
    print(f"{len(samples)} images, {torch.get_num_threads()} threads, batch {args.batch_size}, {args.ap}")
    print(report(clock, min(totals), len(samples)))


if __name__ == "__main__":
    main()
