#!/bin/sh
# Installs the agent on claude-agent-sdk for its tests (178 MB to fetch, 402 MB on the disk): install-agent-sdk.sh VENV
set -eu
venv=$1
[ -e "$venv"/lib/python*/site-packages/claude_agent_sdk/_bundled/claude ] && exit 0
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[agent-sdk]'
