#!/bin/sh
# Sums what the image adds to its base, and fails if that is too much: image-size.sh PYTHON
# Goal: 200 MB unpacked with the base. No base is fetched for this: 130 MB of the 200 are left to python:3.13-slim, so the
# environment may have 65 and the rest (actors, the Procfile) 5. The stage `sessions` is not measured: Git and what it
# needs take 100 MB of Debian's packages.
set -eu
python=$1
LIMIT_MB=65

work=$(mktemp -d)
trap 'rm -rf "$work" dist' EXIT
"$python" -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir dist .
scripts/install-image.sh "$python" "$work/venv"
for command in 'mobvibe --version' 'honcho --version' 'dramatiq --version'; do (cd "$work" && "venv/bin/"$command); done
if "$work/venv/bin/python" -c 'import pip' 2> /dev/null; then echo "image-size.sh: pip is in it" >&2; exit 1; fi
if "$work/venv/bin/python" -c 'import setuptools' 2> /dev/null; then echo "image-size.sh: setuptools is in it" >&2; exit 1; fi
size=$(du -sm --apparent-size "$work/venv" | cut -f1)
echo "The environment of the image has $size MB, of $LIMIT_MB that it may have"
[ "$size" -le "$LIMIT_MB" ]
