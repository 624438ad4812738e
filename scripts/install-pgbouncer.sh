#!/bin/sh
# Installs the pooler that tests and the bench start before Postgres, on Debian: PgBouncer.
set -eu

if ! PATH="$PATH:/usr/sbin" command -v pgbouncer > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends pgbouncer > /dev/null
fi
