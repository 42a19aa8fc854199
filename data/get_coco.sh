#!/usr/bin/env bash
# Fetch COCO 2017 (20 GB, train and val with boxes) into data/coco and make data/coco.data ready:
#
#   bash data/get_coco.sh [--keep]        --keep: keep the archives after unpacking
#
# It can be stopped and started again at any time. COCO_URL changes where it is fetched from.
# Annotations: CC BY 4.0; the images are under the licences of their authors.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/fetch.sh"

url=${COCO_URL:-http://images.cocodataset.org}
out=$here/coco
archives=$out/archives

get() { # archive below $url, its MD5 sum
    local file
    file=$archives/$(basename "$1")
    [ -f "$out/.unpacked-$(basename "$1")" ] || fetch "$url/$1" "$2" "$file"
    unpack "$file" "$out"
}

get annotations/annotations_trainval2017.zip "${COCO_MD5_ANNOTATIONS:-f4bbac642086de4f52a3fdda2de5fa2c}"
get zips/val2017.zip "${COCO_MD5_VAL:-442b8da7639aecaf257c1dceb8ba8c80}"
get zips/train2017.zip "${COCO_MD5_TRAIN:-cced6f7f71b7629ddf16f17bbcfab6b2}"

for needed in annotations/instances_train2017.json annotations/instances_val2017.json train2017 val2017; do
    [ -e "$out/$needed" ] || fetch_fail "$out/$needed is missing: remove $out and start again"
done
[ "${1:-}" = --keep ] || rm -rf "$archives"
echo "ready: --data $here/coco.data"
