#!/bin/sh
# Makes the virtual environment, or brings it up to date: install.sh PYTHON VENV
# The stamp in it says from what it was made; as long as that is the same there is nothing to do.
set -eu
python=$1 venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "mobvibe: $python is not Python 3.11 or later. Choose another: make run PYTHON=python3.12" >&2
    exit 1
fi
wanted=$("$python" -c 'import hashlib, sys
text = sys.version + sys.base_prefix + "".join(open(name).read() for name in ("pyproject.toml", "constraints.txt"))
print(hashlib.sha256(text.encode()).hexdigest())')
if [ "$(cat "$venv/.made-from" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

echo "Making $venv with $("$python" --version)" >&2
# Where the environment itself is active, $python lies in the folder that is about to go.
python=$("$python" -c 'import sys; print(sys._base_executable)')
rm -rf "$venv"
if ! "$python" -m venv "$venv"; then
    echo "mobvibe: $python has no working venv module (on Debian: apt-get install python3-venv)" >&2
    exit 1
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/python" -m pip install -qq --constraint constraints.txt --editable '.[embedded,agent,dev,docs]'
echo "$wanted" > "$venv/.made-from"
