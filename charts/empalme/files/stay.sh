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
exit "$code"
