#!/bin/sh
# Asked to stop, it says at /health that it leaves, serves on until Consul and Empalme have heard of
# that, and then stops as gunicorn does: what is in flight is answered.
gunicorn --bind 0.0.0.0:5000 --threads 8 --graceful-timeout 5 app:app &
trap 'touch /tmp/leaving; sleep "${LEAVE_SECONDS:-3}"; kill -TERM $!' TERM
wait
wait
