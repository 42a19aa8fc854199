#!/usr/bin/env bash
# Builds the wheel, installs it into a clean environment and runs the main job with it on a small scale, from an empty
# folder:
#
#   bash scripts/wheel.sh
#
# Its dependencies are those of .venv (no second download of torch); nothing of the checkout is visible to it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" requirements.txt
unset PYTHONPATH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() {
    printf '\n== %s\n' "$*"
    "$@"
}

build() { # in a copy: setuptools leaves files in the folder and reuses those of an earlier build
    mkdir "$work/source"
    (cd "$REPOSITORY" && tar -cf - --exclude=.git --exclude=.venv --exclude=runs --exclude=demo --exclude='*.egg-info' \
        --exclude=./build --exclude=./data/coco --exclude=./data/voc --exclude=./data/shapes .) | tar -xf - -C "$work/source"
    python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheel" "$work/source"
}

install() {
    local packages
    packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    python -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$work"/wheel/*.whl
    printf '%s\n' "$packages" >"$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/packages.pth"
}

printf '== build and install\n'
build
install
mkdir "$work/empty"
cd "$work/empty"
export PATH=$work/venv/bin:$PATH
hash -r

case $(python -c 'import prune; print(prune.__file__)') in
"$work"/venv/*) ;;
*)
    echo 'error: this is not the installed package' >&2
    exit 1
    ;;
esac

step darknet-prune --version
step darknet-prune doctor
darknet-prune completion bash | bash -n
darknet-prune cfg yolov3-nano >nano.cfg
step darknet-prune data shapes --out shapes --train 16 --valid 4 --size 64
step darknet-prune adapt nano.cfg --classes 3 --out net.cfg
small=(--img-size 64 --device cpu --quiet)
training=(--data shapes/shapes.data --batch-size 8 --epochs 1 "${small[@]}")
step darknet-prune train --cfg net.cfg "${training[@]}" --out base
step darknet-prune train-sparse --cfg base/model.cfg --weights base/last.weights "${training[@]}" --out sparse
step darknet-prune prune-channel --cfg sparse/model.cfg --weights sparse/last.weights --percent 0.5 "${small[@]}" --out channels
step darknet-prune prune-layer --cfg channels/pruned.cfg --weights channels/pruned.weights --shortcuts 1 "${small[@]}" --out layers
step darknet-prune finetune --cfg layers/pruned.cfg --weights layers/pruned.weights "${training[@]}" --out tuned
step darknet-prune evaluate --cfg tuned/model.cfg --weights tuned/last.weights --data shapes/shapes.data "${small[@]}" --out measured
step darknet-prune compare base sparse channels layers tuned measured
printf '\n== the wheel works (%d s)\n' "$SECONDS"
