#!/bin/sh
# Installs what coding sessions need for their sandboxes, on Debian: bubblewrap.
set -eu

if ! command -v bwrap > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends bubblewrap > /dev/null
fi
