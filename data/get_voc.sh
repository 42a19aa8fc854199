#!/usr/bin/env bash
# Fetch Pascal VOC (2.7 GB: trainval of 2007 and 2012, test of 2007) into data/voc, for use
# with data/voc.data:
#
#   bash data/get_voc.sh [--keep]         --keep: keep the archives after unpacking
#
# Both years are put into one VOC folder (their image names do not collide) with two more image sets:
# trainval0712 (16,551 images), the usual training set, and test2007 (4,952), the usual test set.
# It can be stopped and restarted at any time. VOC_URL sets the server, DATA_OUT the target folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/fetch.sh"
fetch_arguments "${BASH_SOURCE[0]}" "$@"

url=${VOC_URL:-http://host.robots.ox.ac.uk/pascal/VOC}
folder=$(fetch_folder voc)
out=$folder/voc
archives=$out/archives
parts=$out/parts

get() { # archive below $url, its SHA-256, the part's name
    local file
    file=$archives/$(basename "$1")
    [ -f "$parts/$3/.unpacked-$(basename "$1")" ] || fetch "$url/$1" "$2" "$file"
    unpack "$file" "$parts/$3"
}

merge() { # year folder of a part: its images and annotations into the common folder
    local kind
    for kind in JPEGImages Annotations; do
        mkdir -p "$out/$kind"
        # Too many names for one command line; `mv -t` is not everywhere.
        find "$1/$kind" -type f -exec sh -c 'to=$1; shift; mv -f "$@" "$to"' sh "$out/$kind" {} +
    done
}

if [ ! -f "$out/.complete" ]; then
    get voc2007/VOCtrainval_06-Nov-2007.tar "${VOC_SHA256_TRAINVAL2007:-7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508}" trainval2007
    get voc2007/VOCtest_06-Nov-2007.tar "${VOC_SHA256_TEST2007:-6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892}" test2007
    get voc2012/VOCtrainval_11-May-2012.tar "${VOC_SHA256_TRAINVAL2012:-e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb}" trainval2012
    echo "putting the years together" >&2
    merge "$parts/trainval2007/VOCdevkit/VOC2007"
    merge "$parts/test2007/VOCdevkit/VOC2007"
    merge "$parts/trainval2012/VOCdevkit/VOC2012"
    sets=$out/ImageSets/Main
    mkdir -p "$sets"
    cat "$parts/trainval2007/VOCdevkit/VOC2007/ImageSets/Main/trainval.txt" \
        "$parts/trainval2012/VOCdevkit/VOC2012/ImageSets/Main/trainval.txt" >"$sets/trainval0712.txt"
    cp "$parts/test2007/VOCdevkit/VOC2007/ImageSets/Main/test.txt" "$sets/test2007.txt"
    while read -r name; do
        [ -f "$out/JPEGImages/$name.jpg" ] && [ -f "$out/Annotations/$name.xml" ] ||
            fetch_fail "$name of an image set is missing: remove $out and start again"
    done < <(cat "$sets/trainval0712.txt" "$sets/test2007.txt")
    touch "$out/.complete"
fi
rm -rf "$parts"
[ "${1:-}" = --keep ] || rm -rf "$archives"
echo "ready: --data $folder/voc.data"
