"""ncnn on the CPU in float32, for exported files: pnnx converts them to ncnn's own pair of files first."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from prune.errors import DeploymentError
from prune.runtimes.onnx_runtime import exported_file
from prune.runtimes.types import Array, Loaded, NetworkFiles, Shape


def load(files: NetworkFiles, shape: Shape, threads: int) -> Loaded:
    """The network of an exported file. Raises DeploymentError where pnnx cannot convert it, or for a batch."""
    if shape[0] != 1:
        raise DeploymentError("ncnn runs one image at a time: --batch-size 1")
    param, binary = convert(exported_file(files), shape, files.folder / "ncnn")
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, name, False)
    if net.load_param(str(param)) or net.load_model(str(binary)):
        raise DeploymentError("ncnn does not read what pnnx made of the exported file")
    return _Ncnn(net, threads, len(files.heads))


def convert(onnx: Path, shape: Shape, folder: Path) -> tuple[Path, Path]:
    """ncnn's pair for an exported file, written to `folder`: (net.ncnn.param, net.ncnn.bin).

    pnnx writes a dozen files next to its input, so it gets a copy. Raises DeploymentError where it fails.
    """
    import pnnx

    folder.mkdir(parents=True, exist_ok=True)
    copied = folder / "net.onnx"
    shutil.copyfile(onnx, copied)
    size = ",".join(map(str, shape))
    command = [pnnx.EXEC_PATH, copied.name, f"inputshape=[{size}]", "fp16=0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    pair = folder / "net.ncnn.param", folder / "net.ncnn.bin"
    if not all(path.is_file() for path in pair):
        last = (done.stderr.split("\n") + done.stdout.split("\n"))[-2:]
        raise DeploymentError(f"pnnx does not convert the exported file ({' '.join(last).strip() or done.returncode})")
    return pair


class _Ncnn(Loaded):
    def __init__(self, net: Any, threads: int, count: int) -> None:
        self.net, self.threads, self.count = net, threads, count
        self.input: Any = None
        self.outputs: list[Any] = []

    def feed(self, imgs: Array) -> None:
        import ncnn

        self.input = ncnn.Mat(imgs[0]).clone()  # a Mat of an array does not keep it alive

    def infer(self) -> None:
        with self.net.create_extractor() as extractor:
            extractor.input("in0", self.input)
            self.outputs = [extractor.extract(f"out{n}")[1] for n in range(self.count)]

    def maps(self) -> list[Array]:
        return [np.array(output, np.float32)[None] for output in self.outputs]
