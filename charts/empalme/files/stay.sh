# A data plane that has handed its sockets over ends, with 0, before its pod is deleted. Started again
# by the kubelet it would take them back: so the container stays until it is told to end.
trap 'told=1; [ -z "${child:-}" ] || kill -TERM "$child" 2>/dev/null' TERM INT
empalme-dataplane "$@" &
child=$!
[ -z "${told:-}" ] || kill -TERM "$child"
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
  wait "$child"
  code=$?
done
if [ "$code" -eq 0 ] && [ -z "${told:-}" ]; then
  sleep infinity &
  child=$!
  wait "$child"
fi
# Killed, the data plane leaves keepalived to give its addresses up, which takes some tenths of a second;
# whatever runs in a container ends with its first process.
keepalived_runs() {
  for each in /proc/[0-9]*/comm; do
    { read -r name <"$each"; } 2>/dev/null && [ "$name" = keepalived ] && return 0
  done
  return 1
}
tries=20
while [ "$tries" -gt 0 ] && keepalived_runs; do
  sleep 0.1
  tries=$((tries - 1))
done
exit "$code"
