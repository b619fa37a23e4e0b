#!/usr/bin/env bash
# Fails when a manifest that users apply does not carry the CustomResourceDefinition as it is.
set -u
cd "$1/manifests" || exit 2
definition=$(cat crd-addresspools.yaml)
for file in install.yaml minikube.yaml; do
  [[ $(cat "$file") == *"$definition"* ]] || { echo "$file: not the definition of crd-addresspools.yaml"; exit 1; }
done
