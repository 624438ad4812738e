#!/bin/sh
# sh scripts/test.sh BIN: all tests, in two pytest processes side by side that take about as long as each other.
# Each has stores of its own. The output of the second follows at the end.
bin=$1
others=$(mktemp)
"$bin"/python -m pytest tests --ignore=tests/acceptance --ignore=tests/integration/worker > "$others" 2>&1 &
pid=$!
trap 'kill "$pid"; wait "$pid"; cat "$others"; rm -f "$others"; exit 130' INT TERM
"$bin"/python -m pytest tests/acceptance tests/integration/worker
acceptance=$?
wait "$pid"
rest=$?
cat "$others"
rm -f "$others"
[ "$acceptance" = 0 ] || exit "$acceptance"
exit "$rest"
