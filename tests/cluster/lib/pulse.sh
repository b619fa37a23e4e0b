# Whether the machine itself stood still. The cases assert how long a pause was; on a machine that did not
# run for a while they measure the machine.
pulse_late_limit=150  # ms
pulse_stolen_limit=50 # percent of what wanted to run

pulse_start() { start client pulse python3 "$cluster_root/tests/cluster/lib/pulse.py" beat "$cluster_dir/logs/pulse.txt"; }
pulse() { # FROM TO
  python3 "$cluster_root/tests/cluster/lib/pulse.py" judge "$cluster_dir/logs/pulse.txt" "$1" "$2"
}
pulse_text() { # FROM TO
  pulse "$1" "$2" | jq -r '"the machine: at most \(.late_ms) ms late, \(.stolen) % stolen, \(.busy) % busy"'
}
stood_still() { # FROM TO
  pulse "$1" "$2" | jq -e ".late_ms > $pulse_late_limit or .stolen > $pulse_stolen_limit" >/dev/null
}
# A minute at most.
await_rest() {
  local from
  for _ in $(seq 6); do
    from=$(milliseconds)
    sleep 10
    stood_still "$from" "$(milliseconds)" || return 0
  done
}
