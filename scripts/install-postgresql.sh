#!/bin/sh
# Installs a Postgres with TLS for the tests of certificates, on Debian: the embedded one is built without it. Its service
# is not needed, and no cluster is made.
set -eu

if ! ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf > /dev/null
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends postgresql > /dev/null
fi
