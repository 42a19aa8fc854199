# Sourced by get_coco.sh and get_voc.sh: resumable, checked downloads. Needs bash, curl, python3.

fetch_fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# fetch_arguments SCRIPT ARGUMENTS...: only --keep is accepted; --help shows the head of the script.
fetch_arguments() {
    local script=$1
    shift
    case "$*" in
    '' | --keep) ;;
    --help | -h)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$script"
        exit 0
        ;;
    *)
        printf 'error: %s: unknown argument: --keep is the only one\n' "$*" >&2
        exit 2
        ;;
    esac
}

# fetch_folder NAME: the folder for NAME.data and the dataset: DATA_OUT, or that of the scripts. The descriptor and its
# names are copied there; existing files are kept.
fetch_folder() {
    local folder=${DATA_OUT:-$here} file
    mkdir -p "$folder" || fetch_fail "$folder cannot be made"
    for file in "$1.data" "$1.names"; do
        if [ -e "$folder/$file" ]; then continue; fi
        cp "$here/$file" "$folder/$file.part" && mv "$folder/$file.part" "$folder/$file" ||
            fetch_fail "cannot write $folder/$file"
    done
    (cd "$folder" && pwd)
}

fetch_sum() { # the SHA-256 of a file, in hex, with the tools of Linux or macOS
    if [ ! -f "$1" ]; then return; fi
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

# fetch URL SHA256 FILE: FILE is complete and correct afterwards. A partial download is resumed; a wrong one is removed.
fetch() {
    local url=$1 sum=$2 file=$3
    if [ ! -f "$file" ]; then
        printf 'fetching %s\n' "$url" >&2
        mkdir -p "$(dirname "$file")"
        local code=0 answer
        answer=$(curl --fail --location --retry 5 --continue-at - --output "$file.part" --write-out '%{http_code}' "$url") ||
            code=$?
        # A part that is complete already makes a server refuse to resume (416: no such range), and some cannot resume at
        # all (curl's 33): unless the checksum proves that the part is correct, only a new start helps.
        if [ "$code" != 0 ] && [ "$(fetch_sum "$file.part")" != "$sum" ]; then
            if [ "$answer" = 416 ] || [ "$code" = 33 ]; then
                rm -f "$file.part"
                fetch_fail "could not resume $url: removed the partial file; run the same command again"
            fi
            fetch_fail "could not fetch $url: run the same command again to resume"
        fi
        [ "$(fetch_sum "$file.part")" = "$sum" ] || {
            rm -f "$file.part"
            fetch_fail "$url is not what it should be (SHA-256 $sum): removed; run the same command again"
        }
        mv "$file.part" "$file"
    fi
}

# unpack ARCHIVE FOLDER: the .zip or .tar into FOLDER, once: a marker file records that it was done.
unpack() {
    local archive=$1 folder=$2 mark
    mark=$folder/.unpacked-$(basename "$archive")
    if [ -f "$mark" ]; then return; fi
    printf 'unpacking %s\n' "$(basename "$archive")" >&2
    mkdir -p "$folder"
    case $archive in
    *.zip) python3 -m zipfile -e "$archive" "$folder" ;;
    *.tar) tar -xf "$archive" -C "$folder" ;;
    *) fetch_fail "$archive is neither .zip nor .tar" ;;
    esac || fetch_fail "could not unpack $archive"
    touch "$mark"
}
