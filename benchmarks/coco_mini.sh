#!/usr/bin/env bash
# Two official networks on 79 images of COCO val2017, stretched and letterboxed: COCO metrics beside the known ones, and
# all twelve beside those of the same weights run by OpenCV here and scored by pycocotools.
#
#   bash benchmarks/coco_mini.sh [OUT]
#
# Needs the shared data (PRUNE_SHARED_DATA, default ../shared/data): coco-mini/ and weights/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh" requirements.txt

out=${1:-$REPOSITORY/runs/coco-mini}
shared=${PRUNE_SHARED_DATA:-$REPOSITORY/../shared/data}
python -m benchmarks.places "$shared/coco-mini" "$shared"/weights/yolo{v3-tiny,-fastest-1.1}.weights
shared=$(cd "$shared" && pwd)
weights=$shared/weights
mkdir -p "$out"
cat >"$out/coco.data" <<END
classes=80
train=$shared/coco-mini/annotations/instances_train2017.json
train_images=$shared/coco-mini/train2017
valid=$shared/coco-mini/annotations/instances_val2017.json
valid_images=$shared/coco-mini/val2017
names=$REPOSITORY/data/coco.names
END
measure() { # NAME CFG WEIGHTS
    for fit in letterbox stretch; do
        python "$REPOSITORY/evaluate.py" --cfg "$2" --weights "$3" --data "$out/coco.data" --ap coco "--$fit" \
            --out "$out/$1-$fit" --overwrite --quiet
    done
}
measure yolov3-tiny "$REPOSITORY/cfg/yolov3-tiny.cfg" "$weights/yolov3-tiny.weights"
measure yolo-fastest-1.1 "$weights/yolo-fastest-1.1.cfg" "$weights/yolo-fastest-1.1.weights"
cd "$REPOSITORY" && python -m benchmarks.coco_mini "$out" && python -m benchmarks.coco_opencv "$out" "$shared"
