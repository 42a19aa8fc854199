#!/usr/bin/env bash
# What this project does on a CUDA machine: the same numbers as on a CPU, mixed precision, images per second, and a
# short run of yolov3 through all stages. At most 8 minutes.
#
#   bash benchmarks/gpu.sh BCCD [--out DIR] [--weights yolov3-tiny.weights] [--seconds 440] [--small]
#
# BCCD: the dataset's folder in VOC layout (Annotations, ImageSets, JPEGImages). --small: minutes on a CPU, to see that it
# works. PYTHON (default: python3) needs PyTorch 2.11 or newer, opencv-python-headless and pycocotools; nothing is
# installed. Exit code 1 if a check fails, 2 if the data is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1

# The budget of --seconds is kept by the benchmark itself; this ends one that hangs in a single call.
exec timeout --kill-after=5 475 "${PYTHON:-python3}" -m benchmarks.gpu "$@"
