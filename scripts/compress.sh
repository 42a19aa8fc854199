#!/usr/bin/env bash
# From a cfg, a dataset and weights to a smaller network, stage by stage:
#
#   bash scripts/compress.sh CFG DATA WEIGHTS OUT [percent] [shortcuts]
#
# WEIGHTS: the baseline's initial weights, a weights file of CFG; '' or -: newly initialised.
# percent (default 0.8) and shortcuts (default 0): how many channels and residual blocks are removed.
# A finished stage (with a summary.json) is not run again; an interrupted training is resumed.
#
# Flags for single stages, in the environment:
#   ALL_ARGS        for every stage that reads images, e.g. "--img-size 320 --device cpu"
#   TRAIN_ARGS      for every training, e.g. "--batch-size 8 --cache-images"
#   BASE_ARGS SPARSE_ARGS CHANNEL_ARGS LAYER_ARGS FINETUNE_ARGS DISTILL_ARGS
# ALWAYS_DISTILL=1 distils even if fine-tuning alone recovers the accuracy.
set -euo pipefail

if [ $# -lt 4 ] || [ $# -gt 6 ]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements.txt

cfg=$1 data=$2 weights=$3 out=$4 percent=${5:-0.8} shortcuts=${6:-0}
read -ra all_args <<<"${ALL_ARGS:-}"
read -ra train_args <<<"${TRAIN_ARGS:-}"
read -ra base <<<"${BASE_ARGS:-}"
read -ra sparse <<<"${SPARSE_ARGS:-}"
read -ra channel <<<"${CHANNEL_ARGS:-}"
read -ra layer <<<"${LAYER_ARGS:-}"
read -ra finetune <<<"${FINETUNE_ARGS:-}"
read -ra distill <<<"${DISTILL_ARGS:-}"
started=$SECONDS

run() { # NAME COMMAND FLAGS...: runs a stage unless it is finished; files of an interrupted run are replaced
    local name=$1 begun=$SECONDS
    shift
    if [ -f "$out/$name/summary.json" ]; then
        printf '== %s: finished before\n' "$name"
        return
    fi
    printf '== %s: %s\n' "$name" "$*"
    python "$REPOSITORY/$1" "${@:2}" --out "$out/$name" --data "$data" ${all_args[@]+"${all_args[@]}"}
    printf '== %s: done in %d s\n' "$name" $((SECONDS - begun))
}

cut() { run "$@" --overwrite; }

fit() { # a training, resumed if it was interrupted
    local again=--overwrite
    if [ -f "$out/$1/last.pt" ]; then again=--resume; fi
    run "$@" ${train_args[@]+"${train_args[@]}"} "$again"
}

behind() { # STAGE REFERENCE X: is its AP50 more than X below the reference's?
    local code=0 message
    message=$(python -m prune.compare "$2" "$1" --behind "$3" 2>&1 >/dev/null) || code=$?
    case $code in
    0) return 1 ;;
    3) return 0 ;;
    *)
        printf '%s\n' "$message" >&2
        exit "$code"
        ;;
    esac
}

start=()
if [ -n "$weights" ] && [ "$weights" != - ]; then start=(--weights "$weights"); fi

stages=("$out/baseline" "$out/sparse" "$out/channels")
fit baseline train.py --cfg "$cfg" ${start[@]+"${start[@]}"} ${base[@]+"${base[@]}"}
fit sparse train_sparse.py --cfg "$out/baseline/model.cfg" --weights "$out/baseline/best.weights" \
    --target-percent "$percent" ${sparse[@]+"${sparse[@]}"}
cut channels prune_channel.py --cfg "$out/sparse/model.cfg" --weights "$out/sparse/last.weights" \
    --percent "$percent" ${channel[@]+"${channel[@]}"}
pruned=$out/channels
if [ "$shortcuts" -gt 0 ]; then
    cut layers prune_layer.py --cfg "$pruned/pruned.cfg" --weights "$pruned/pruned.weights" \
        --shortcuts "$shortcuts" ${layer[@]+"${layer[@]}"}
    pruned=$out/layers
    stages+=("$pruned")
fi
fit finetune finetune.py --cfg "$pruned/pruned.cfg" --weights "$pruned/pruned.weights" ${finetune[@]+"${finetune[@]}"}
stages+=("$out/finetune")
final=$out/finetune
reason=
if [ -n "${ALWAYS_DISTILL:-}" ]; then
    reason='requested by ALWAYS_DISTILL'
elif behind "$out/finetune" "$out/baseline" 0.01; then
    reason='fine-tuning alone remains more than 0.01 AP50 below the baseline'
fi
if [ -n "$reason" ]; then
    printf '== %s: distilling from it\n' "$reason"
    fit distill distill.py --cfg "$pruned/pruned.cfg" --weights "$pruned/pruned.weights" \
        --t-cfg "$out/baseline/model.cfg" --t-weights "$out/baseline/best.weights" ${distill[@]+"${distill[@]}"}
    stages+=("$out/distill")
    if ! behind "$out/distill" "$out/finetune" 0; then final=$out/distill; fi
fi

printf '\n'
python -m prune.compare "${stages[@]}"
printf '\nthe smaller network: %s and %s (%d s in all)\n' "$final/model.cfg" "$final/best.weights" $((SECONDS - started))
