#!/usr/bin/env bash
# Fails when a manifest that users apply, or the chart, does not carry the CustomResourceDefinition as
# it is in manifests/crd-addresspools.yaml.
set -u
cd "$1" || exit 2
definition=$(cat manifests/crd-addresspools.yaml)
stray=0
for file in manifests/install.yaml manifests/minikube.yaml manifests/ha/crd-addresspools.yaml \
  charts/empalme/crds/crd-addresspools.yaml; do
  [[ $(cat "$file") == *"$definition"* ]] || { echo "$file: not as manifests/crd-addresspools.yaml"; stray=1; }
done
exit $stray
