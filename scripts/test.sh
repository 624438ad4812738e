#!/bin/sh
# sh scripts/test.sh BIN: all tests, in two processes side by side. Those that start processes of their own mostly wait.
# Each has stores of its own. The output of the others follows at the end.
bin=$1
others=$(mktemp)
"$bin"/python -m pytest tests/unit tests/integration > "$others" 2>&1 &
pid=$!
trap 'kill "$pid"; wait "$pid"; cat "$others"; rm -f "$others"; exit 130' INT TERM
"$bin"/python -m pytest tests/acceptance
acceptance=$?
wait "$pid"
rest=$?
cat "$others"
rm -f "$others"
[ "$acceptance" = 0 ] || exit "$acceptance"
exit "$rest"
