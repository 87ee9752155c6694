# The tables of tests/bench/compare, from the reports of its runs.

def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def fixed: (. * 100 | round) as $n | "\($n / 100 | floor).\("0\($n % 100)" | .[-2:])";
def whole: round | tostring | if length > 3 then .[:-3] + "," + .[-3:] else . end;
def spread(f): "\(median | f) (\(min | f) to \(max | f))";
def promise: {
    "mandrill": "synced",
    "redis-always": "synced",
    "redis-everysec": "synced a second later",
    "jetstream": "synced minutes later"
}[.];
def row: "| " + join(" | ") + " |";
def heading: row, (map("---") | row);

. as $all
| (map(select(.kind == "speed" and .system == "mandrill") | {key: "\(.round)", value: .rate}) | from_entries) as $mandrill
| def runs($kind): "mandrill", "redis-always", "redis-everysec", "jetstream"
      | . as $system
      | [$all[] | select(.kind == $kind and .system == $system)];
  (["as fast as it can", "a confirmed message is", "messages/s", "of Mandrill's in the same round", "CPU us a message", "memory MB",
    "lost, twice"] | heading),
  (runs("speed")
   | [.[0].system, (.[0].system | promise),
      (map(.rate) | spread(whole)),
      (map(.rate / $mandrill["\(.round)"]) | spread(fixed)),
      (map(.cpu_us_per_message) | spread(fixed)),
      (map([.roles[].rss_mb] | add) | spread(whole)),
      "\(map(.count - .acked) | add), \(map(.duplicates) | add)"]
   | row),
  "",
  (["at \($rate) messages/s", "p50 ms", "p90 ms", "p99 ms", "CPU us a message", "lost, twice"] | heading),
  (runs("latency")
   | [.[0].system,
      (map(.latency_ms.p50) | spread(fixed)),
      (map(.latency_ms.p90) | spread(fixed)),
      (map(.latency_ms.p99) | spread(fixed)),
      (map(.cpu_us_per_message) | spread(fixed)),
      "\(map(.count - .acked) | add), \(map(.duplicates) | add)"]
   | row)
