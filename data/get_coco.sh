#!/usr/bin/env bash
# Fetch COCO 2017 (20 GB, train and val with boxes) into data/coco for use with data/coco.data:
#
#   bash data/get_coco.sh [--keep]        --keep: keep the archives after unpacking
#
# It can be stopped and restarted at any time. COCO_URL sets the server, DATA_OUT the target folder.
# Annotations: CC BY 4.0; the images are under the licences of their authors.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/fetch.sh"
fetch_arguments "${BASH_SOURCE[0]}" "$@"

url=${COCO_URL:-http://images.cocodataset.org}
folder=$(fetch_folder coco)
out=$folder/coco
archives=$out/archives

get() { # archive below $url, its SHA-256
    local file
    file=$archives/$(basename "$1")
    [ -f "$out/.unpacked-$(basename "$1")" ] || fetch "$url/$1" "$2" "$file"
    unpack "$file" "$out"
}

get annotations/annotations_trainval2017.zip "${COCO_SHA256_ANNOTATIONS:-113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268}"
get zips/val2017.zip "${COCO_SHA256_VAL:-4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05}"
get zips/train2017.zip "${COCO_SHA256_TRAIN:-69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929}"

for needed in annotations/instances_train2017.json annotations/instances_val2017.json train2017 val2017; do
    [ -e "$out/$needed" ] || fetch_fail "$out/$needed is missing: remove $out and start again"
done
[ "${1:-}" = --keep ] || rm -rf "$archives"
echo "ready: --data $folder/coco.data"
