#!/usr/bin/env bash
# The main job on a dataset generated in seconds: train a small residual network, make it sparse, prune
# channels and residual blocks, fine-tune, and compare before and after. Five to twenty minutes on 2 cores.
#
#   bash scripts/demo.sh [OUT]        (default: demo/ in the repository)
#
# If it is run again, finished stages are not repeated.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements.txt

out=${1:-$REPOSITORY/demo}
python "$REPOSITORY/data/make_shapes.py" --out "$out/shapes"

export ALL_ARGS=${ALL_ARGS:-"--batch-size 16 --seed 0"}
export TRAIN_ARGS=${TRAIN_ARGS:-"--cache-images"}
export BASE_ARGS=${BASE_ARGS:-"--epochs 40 --lr 0.003"}
export SPARSE_ARGS=${SPARSE_ARGS:-"--epochs 25"} TARGET=${TARGET:-0.3x}
export FINETUNE_ARGS=${FINETUNE_ARGS:-"--epochs 40 --lr 0.002"}
export DISTILL_ARGS=${DISTILL_ARGS:-"--epochs 40 --lr 0.002"}
bash "$REPOSITORY/scripts/compress.sh" "$REPOSITORY/cfg/yolov3-nano.cfg" "$out/shapes/shapes.data" - "$out/run" "" 3
