#!/usr/bin/env bash
# The official yolov3-tiny on 79 images of COCO val2017, stretched and letterboxed:
#
#   bash benchmarks/coco_mini.sh [OUT]
#
# Needs the shared data (PRUNE_SHARED_DATA, default ../shared/data): coco-mini/ and weights/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh" requirements.txt

out=${1:-$REPOSITORY/runs/coco-mini}
shared=$(cd "${PRUNE_SHARED_DATA:-$REPOSITORY/../shared/data}" && pwd)
mkdir -p "$out"
cat >"$out/coco.data" <<END
classes=80
train=$shared/coco-mini/annotations/instances_train2017.json
train_images=$shared/coco-mini/train2017
valid=$shared/coco-mini/annotations/instances_val2017.json
valid_images=$shared/coco-mini/val2017
names=$REPOSITORY/data/coco.names
END
for fit in stretch letterbox; do
    python "$REPOSITORY/evaluate.py" --cfg "$REPOSITORY/cfg/yolov3-tiny.cfg" --weights "$shared/weights/yolov3-tiny.weights" \
        --data "$out/coco.data" --ap coco "--$fit" --out "$out/$fit" --overwrite
done
