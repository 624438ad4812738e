#!/bin/sh
# Installs a Redis that speaks TLS, for tests, on Debian: redis-tools has the program, and unlike redis-server starts no service.
set -eu

if ! command -v redis-server > /dev/null && ! command -v redis-check-rdb > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends redis-tools > /dev/null
fi
