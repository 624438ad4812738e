#!/bin/sh
# Makes the environment in which tests run dramatiq_dashboard, which wants older versions than ours: install-dramatiq-dashboard.sh VENV
set -eu
venv=$1/dramatiq-dashboard
[ -e "$venv/bin/waitress-serve" ] && exit 0
python=$("$1/bin/python" -c 'import sys; print(sys._base_executable)')
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -r deploy/dramatiq-dashboard/requirements.txt
