#!/bin/sh
# Installs what the tests in a browser need, on Debian: Chromium with its driver, and axe-core: install-browser.sh VENV
set -eu
venv=$1

if ! command -v chromium > /dev/null || ! command -v chromedriver > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium chromium-driver > /dev/null
fi
if [ ! -e "$venv/axe" ]; then
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --target "$venv/axe" axe-playwright-python==0.1.8
fi
