# Sourced by the other scripts: creates .venv in the repository and puts it first in PATH.
#
#   source scripts/venv.sh REQUIREMENTS.txt      (otherwise the caller's arguments would be read)
#
# PYTHON=... chooses the interpreter for .venv (default: python3, which must be >= 3.11).
# Packages are installed only when a requirements file has changed since the last time, so the second
# run needs no network. pip's own settings (configuration file, PIP_* variables) are honoured.
# Afterwards REPOSITORY is the root of the checkout, and `python` is that of .venv and finds the package `prune`.

REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export REPOSITORY

venv_say() { printf '[set-up] %s\n' "$*" >&2; }
venv_fail() { venv_say "error: $*"; exit 2; }

venv_is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

venv_make() { # create .venv unless there is one that works
    local venv=$1 python=${PYTHON:-python3}
    if [ -x "$venv/bin/python" ] && venv_is_new_enough "$venv/bin/python"; then return; fi
    command -v "$python" >/dev/null ||
        venv_fail "no '$python' found: install Python 3.11 or newer, or set PYTHON=/path/to/python"
    venv_is_new_enough "$python" ||
        venv_fail "'$python' is $("$python" --version 2>&1): Python 3.11 or newer is required; set PYTHON=/path/to/python"
    venv_say "creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || venv_fail "'$python -m venv' failed (on Debian and Ubuntu: install python3-venv)"
}

venv_files() { # a requirements file and those it includes with -r
    printf '%s\n' "$1"
    sed -n "s|^-r *|$(dirname "$1")/|p" "$1"
}

venv_stamp() { printf '%s/.installed-%s' "$1" "$(basename "$2")"; }

venv_is_current() { cksum <"$2" | cmp -s - "$(venv_stamp "$1" "$2")"; }

# opencv-python links against libGL and other desktop libraries. If they are missing, it is replaced by
# the headless build of the same version; both share one folder and must not be installed together.
venv_fix_opencv() {
    local python=$1 problem version
    problem=$("$python" -c 'import cv2' 2>&1) && return
    case $problem in
    *ImportError*lib*.so*) ;;
    *) venv_fail "OpenCV cannot be imported: ${problem##*$'\n'}" ;;
    esac
    version=$("$python" -c 'from importlib.metadata import version; print(version("opencv-python"))') ||
        venv_fail "OpenCV cannot be imported: ${problem##*$'\n'}"
    venv_say "opencv-python cannot be loaded here (${problem##*$'\n'}): installing opencv-python-headless $version instead"
    "$python" -m pip uninstall --quiet --yes opencv-python || venv_fail "pip could not remove opencv-python"
    "$python" -m pip install --quiet "opencv-python-headless==$version" || venv_fail "pip could not install opencv-python-headless"
    "$python" -c 'import cv2' || venv_fail "OpenCV cannot be imported"
}

venv_install() { # bring .venv up to date with a requirements file
    local venv=$1 requirements=$2 python=$1/bin/python file current=yes
    while read -r file; do venv_is_current "$venv" "$file" || current=no; done < <(venv_files "$requirements")
    if [ "$current" = yes ]; then return; fi
    venv_say "installing $(basename "$requirements") into $venv (takes minutes the first time)"
    "$python" -c 'import pip' 2>/dev/null || "$python" -m ensurepip >/dev/null || venv_fail "$venv has no pip: remove it"
    if "$python" -c 'from importlib.metadata import version; version("opencv-python-headless")' 2>/dev/null; then
        "$python" -m pip uninstall --quiet --yes opencv-python-headless opencv-python
    fi
    "$python" -m pip install --quiet --disable-pip-version-check -r "$requirements" ||
        venv_fail "pip could not install $requirements"
    venv_fix_opencv "$python"
    while read -r file; do cksum <"$file" >"$(venv_stamp "$venv" "$file")"; done < <(venv_files "$requirements")
    venv_say "ready"
}

venv_make "$REPOSITORY/.venv"
venv_install "$REPOSITORY/.venv" "$REPOSITORY/$1"
export VIRTUAL_ENV=$REPOSITORY/.venv
export PATH=$VIRTUAL_ENV/bin:$PATH
export PYTHONPATH=$REPOSITORY${PYTHONPATH:+:$PYTHONPATH}
