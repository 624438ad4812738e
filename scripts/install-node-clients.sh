#!/bin/sh
# Installs the clients of Node with which the tests of docs/how-to/insert-jobs.md insert jobs: install-node-clients.sh VENV
set -eu
folder=$1/node

if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends nodejs npm > /dev/null
fi
[ -e "$folder/node_modules/pg" ] && [ -e "$folder/node_modules/@supabase/supabase-js" ] && exit 0
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$folder" pg@8.16.3 @supabase/supabase-js@2.86.0
