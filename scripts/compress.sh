#!/usr/bin/env bash
# From a cfg, a dataset and weights to a smaller network, one stage after the other:
#
#   bash scripts/compress.sh CFG DATA WEIGHTS OUT [percent] [shortcuts]
#
# WEIGHTS: where the baseline starts from; '' or - for random weights, or a weights file of CFG.
# TARGET (in the environment, default 0.2x): what is to be left of the parameters, such as 0.1x or 1.2M. With `percent`
# instead that share of the channels is pruned; shortcuts (default 0): so many residual blocks are removed.
# A finished stage (its summary.json exists) is not repeated, an interrupted training is resumed. Epochs follow from the
# number of images. A stage that cannot do its work (nothing became sparse, AP50 fell by half) ends the script with exit
# code 3, the reason and the next step.
#
# Flags for single stages, in the environment:
#   ALL_ARGS        for every stage that uses images, e.g. "--img-size 320 --device cpu"
#   TRAIN_ARGS      for every training, e.g. "--batch-size 8"
#   BASE_ARGS SPARSE_ARGS CHANNEL_ARGS LAYER_ARGS FINETUNE_ARGS DISTILL_ARGS
# ALWAYS_DISTILL=1 distils even if fine-tuning alone recovers the accuracy.
# NO_GUARD=1 continues whatever a stage did to the accuracy.
set -euo pipefail

if [ $# -lt 4 ] || [ $# -gt 6 ]; then
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
cfg=$1 data=$2 weights=$3 out=$4 percent=${5:-} shortcuts=${6:-0}

exclusive() { # WHAT: TARGET would have no effect beside it
    [ -z "${TARGET:-}" ] || { printf 'error: TARGET=%s has no effect with %s; leave out one of them\n' "$TARGET" "$1" >&2; exit 2; }
}

target=(--target-params "${TARGET:-0.2x}") kept=best ratio=auto
if [ -n "$percent" ]; then
    exclusive "a percent ($percent)"
    target=(--target-percent "$percent")
fi
case " ${SPARSE_ARGS:-} " in
*" --s auto "* | *" -s auto "*) ;;
*" --s "* | *" -s "* | *" --s="*) # a given strength: the last network is the sparsest, and it may have no gap to prune in
    exclusive "a strength in SPARSE_ARGS"
    target=(--target-percent "${percent:-0.8}") kept=last ratio=${percent:-0.8}
    ;;
esac
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements.txt

read -ra all_args <<<"${ALL_ARGS:-}"
read -ra train_args <<<"${TRAIN_ARGS:-}"
read -ra base <<<"${BASE_ARGS:-}"
read -ra sparse <<<"${SPARSE_ARGS:-}"
read -ra channel <<<"${CHANNEL_ARGS:-}"
read -ra layer <<<"${LAYER_ARGS:-}"
read -ra finetune <<<"${FINETUNE_ARGS:-}"
read -ra distill <<<"${DISTILL_ARGS:-}"
epochs=$(PYTHONPATH=$REPOSITORY python -m scripts.epochs "$data")

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
    local length=(--epochs "$epochs")
    if [ -f "$out/$1/last.pt" ]; then again=--resume; fi
    case " $* ${TRAIN_ARGS:-} " in *" --epochs"[\ =]*) length=() ;; esac
    run "$@" ${length[@]+"${length[@]}"} ${train_args[@]+"${train_args[@]}"} "$again"
}

guard() { # STAGE REFERENCE: ends here if the stage lost more than half of the AP50
    [ -n "${NO_GUARD:-}" ] || PYTHONPATH=$REPOSITORY python -m scripts.guard "$1" "$2"
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
    "${target[@]}" ${sparse[@]+"${sparse[@]}"}
guard "$out/sparse" "$out/baseline"
cut channels prune_channel.py --cfg "$out/sparse/model.cfg" --weights "$out/sparse/$kept.weights" \
    --percent "$ratio" ${channel[@]+"${channel[@]}"}
guard "$out/channels" "$out/sparse"
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
