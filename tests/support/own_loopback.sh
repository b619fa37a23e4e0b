#!/usr/bin/env bash
# Runs a command with a loopback of its own where this machine lets it make a network namespace
# (root), so that no other test that runs at the same time takes a port from it. Elsewhere the
# command shares the machine's loopback, as tests/support/own_loopback_main.cpp does.
set -eu
if unshare --net true 2>/dev/null; then
  exec unshare --net sh -c 'ip link set lo up && exec "$@"' sh "$@"
fi
exec "$@"
