# The table of tests/bench/compare, from the reports of its runs.

def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
# With two digits behind the point, three for small values; large ones with thousands.
def fixed: (. * 100 | round) as $n | ($n / 100 | floor | tostring) + "." + ("0\($n % 100)" | .[-2:]);
def whole: round | tostring | if length > 3 then .[:-3] + "," + .[-3:] else . end;
def spread(f): "\(median | f) (\(min | f) to \(max | f))";
def promise: {
    "mandrill": "on disk (fsync)",
    "redis-always": "on disk (fsync)",
    "redis-everysec": "on disk a second later",
    "jetstream": "on disk minutes later"
}[.];
def row: "| " + join(" | ") + " |";

. as $all
| (map(select(.system == "mandrill" and .kind == "speed")) | map({key: (.round | tostring), value: .rate}) | from_entries) as $base
| ["system", "what is confirmed is", "messages/s", "of Mandrill's rate, by round", "CPU us a message", "p50 ms at \($rate)/s",
   "p99 ms at \($rate)/s", "memory MB", "lost, twice"] as $head
| ($head | row),
  ($head | map("---") | row),
  (("mandrill", "redis-always", "redis-everysec", "jetstream") as $system
   | ($all | map(select(.system == $system))) as $runs
   | ($runs | map(select(.kind == "speed"))) as $speed
   | ($runs | map(select(.kind == "latency"))) as $latency
   | [$system,
      ($system | promise),
      ($speed | map(.rate) | spread(whole)),
      ($speed | map(.rate / $base[.round | tostring]) | spread(fixed)),
      ($speed | map(.cpu_us_per_message) | spread(fixed)),
      ($latency | map(.latency_ms.p50) | spread(fixed)),
      ($latency | map(.latency_ms.p99) | spread(fixed)),
      ($speed | map([.roles[].rss_mb] | add) | spread(whole)),
      ($runs | "\(map(.count - .acked) | add), \(map(.duplicates) | add)")]
   | row)
