#!/bin/sh
# Installs what the image runs into a virtual environment, each file checked by its hash:
#   install-image.sh PYTHON VENV [REQUIREMENTS]
# The wheel of the bridge is in dist/. The environment gets no pip or setuptools: who breaks into a process finds no
# installer there. A second call with another list adds to it.
set -eu
python=$1 venv=$2 requirements=${3:-requirements.txt}

install() {
    "$python" -m pip --python "$venv/bin/python" install -qq --no-cache-dir --disable-pip-version-check --no-deps "$@"
}

[ -e "$venv" ] || "$python" -m venv --without-pip "$venv"
install --only-binary :all: --require-hashes --requirement "$requirements"
install --no-index dist/*.whl
