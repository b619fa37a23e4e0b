# Whether the machine itself stood still. The cases assert how long a pause was; on a machine that did not
# run for a while they measure the machine.
pulse_of() { python3 "$cluster_root/tests/cluster/lib/pulse.py" "$1" "$cluster_dir/logs/pulse.txt" "${@:2}"; }
pulse_start() { start client pulse python3 "$cluster_root/tests/cluster/lib/pulse.py" beat "$cluster_dir/logs/pulse.txt"; }
pulse_text() { pulse_of tell "$1" "$2" || true; } # FROM TO
stood_still() { ! pulse_of tell "$1" "$2" >/dev/null; } # FROM TO
# A minute at most.
await_rest() {
  local from
  for _ in $(seq 6); do
    from=$(milliseconds)
    sleep 10
    stood_still "$from" "$(milliseconds)" || return 0
  done
}
