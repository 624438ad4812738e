#!/bin/sh
# Installs what the tests of containers for coding sessions need, on Debian: Docker. They start an engine of their own.
set -eu

if ! command -v docker > /dev/null || ! command -v dockerd > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker.io tini > /dev/null
fi
