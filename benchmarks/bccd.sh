#!/usr/bin/env bash
# Blood cells (BCCD, 364 images, 3 classes) at 320 px: tuned on val, reported on test.
#
#   BCCD=folder WEIGHTS=yolov3-tiny.weights bash benchmarks/bccd.sh [OUT]      yolov3-tiny, official weights
#   BCCD=folder NET=yolov3-nano bash benchmarks/bccd.sh [OUT]                  a residual network from scratch
#
# BCCD is the dataset's folder in VOC layout (Annotations, ImageSets, JPEGImages). Finished stages are not repeated.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/venv.sh" requirements.txt

net=${NET:-yolov3-tiny}
out=${1:-$REPOSITORY/runs/bccd-$net}
shared=${PRUNE_SHARED_DATA:-$REPOSITORY/../shared/data}
bccd=${BCCD:-$shared/bccd}
needed=("$bccd/ImageSets/Main/train.txt")
[ "$net" != yolov3-tiny ] || needed+=("${WEIGHTS:-$shared/weights/yolov3-tiny.weights}")
python -m benchmarks.places "${needed[@]}"
bccd=$(cd "$bccd" && pwd)
mkdir -p "$out"

printf 'RBC\nWBC\nPlatelets\n' >"$out/bccd.names"
for split in val test; do
    printf 'classes=3\ntrain=%s\nvalid=%s\nnames=%s\n' "$bccd/ImageSets/Main/train.txt" \
        "$bccd/ImageSets/Main/$split.txt" bccd.names >"$out/$split.data"
done
[ -f "$out/net.cfg" ] || python -m prune.adapt "$REPOSITORY/cfg/$net.cfg" --classes 3 --out "$out/net.cfg"

export ALWAYS_DISTILL=${ALWAYS_DISTILL-1} # the table shows both, whichever is better
export ALL_ARGS="--img-size 320 --batch-size 8" TRAIN_ARGS="--cache-images"
export FINETUNE_ARGS="--epochs 60 --lr 0.002" DISTILL_ARGS="--epochs 60 --lr 0.002"
case $net in
yolov3-tiny)
    weights=${WEIGHTS:-$shared/weights/yolov3-tiny.weights} percent=0.5 shortcuts=0
    export BASE_ARGS="--weights-cfg $REPOSITORY/cfg/yolov3-tiny.cfg --epochs 40 --lr 0.001"
    export SPARSE_ARGS="--epochs 40 --s 0.02 --lr 0.04 --sr-mode local-decay --local-percent 0.6"
    export CHANNEL_ARGS="--layer-keep 0.075" FINETUNE_ARGS="--epochs 100 --lr 0.003" DISTILL_ARGS="--epochs 100 --lr 0.003"
    ;;
*)
    weights=- percent=0.7 shortcuts=3
    export BASE_ARGS="--epochs 80 --lr 0.003" SPARSE_ARGS="--epochs 50 --s 0.02 --lr 0.02"
    ;;
esac
bash "$REPOSITORY/scripts/compress.sh" "$out/net.cfg" "$out/val.data" "$weights" "$out" "$percent" "$shortcuts"

printf '\nOn the test split (VOC 2010 AP50):\n'
measure() { # STAGE CFG WEIGHTS
    [ -f "$1/$2" ] || return 0
    local result=$out/test/$(basename "$1")
    results+=("$result")
    [ -f "$result/summary.json" ] && return 0
    python "$REPOSITORY/evaluate.py" --cfg "$1/$2" --weights "$1/$3" --data "$out/test.data" --ap voc10 --quiet \
        --img-size 320 --out "$result"
}
results=()
measure "$out/baseline" model.cfg best.weights
measure "$out/sparse" model.cfg last.weights # what is pruned: the best on val may be from before it was sparse
measure "$out/channels" pruned.cfg pruned.weights
measure "$out/layers" pruned.cfg pruned.weights
measure "$out/finetune" model.cfg best.weights
measure "$out/distill" model.cfg best.weights
python -m prune.compare "${results[@]}"
