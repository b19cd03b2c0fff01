"""``hatch run chaos``: many runs of the chaos tests, and a table of their outcomes.

The exit status is 1 if any run failed; the seed that repeats it is printed.
"""

import argparse
import signal
import statistics
import sys
import time
from collections import Counter

from d4py_conformance.chaos.run import KINDS, ChaosRun
from d4py_dynamic.store.redis.connections.server import server_binary


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # cleans up
    options = parse()
    kinds = options.kinds.split(",")
    unknown = {*kinds} - {*KINDS}
    if unknown:
        sys.exit(f"there is no fault {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    outcomes, started_at = [], time.monotonic()
    for seed in range(options.seed, options.seed + options.runs):
        if options.seconds and time.monotonic() - started_at > options.seconds:
            break
        run = ChaosRun(server_binary(), seed, options.faults, kinds, options.calls, options.lease)
        outcomes.append(run.run())
        show(outcomes[-1], options)
    print_table(outcomes)
    sys.exit(any(outcome.problems for outcome in outcomes))


def parse():
    parser = argparse.ArgumentParser(prog="hatch run chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first run (%(default)s)")
    parser.add_argument("--runs", type=int, default=50, help="how many (%(default)s)")
    parser.add_argument("--faults", type=int, default=5, help="per run (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which (%(default)s)")
    parser.add_argument("--calls", type=int, default=400, help="of the root (%(default)s)")
    parser.add_argument("--lease", type=float, default=2.0, help="in seconds (%(default)s)")
    parser.add_argument("--seconds", type=float, help="begin no run after so many seconds")
    return parser.parse_args()


def show(outcome, options):
    """Print a line for a run, and the command that repeats it if it failed."""
    faults = ", ".join(f"{n} {kind}" for kind, n in sorted(outcome.faults.items()))
    print(f"seed {outcome.seed}: {outcome.seconds:.1f} s, {faults}", flush=True)
    for problem in outcome.problems:
        print(f"  {problem}")
    if outcome.problems:
        print(
            f"  again: hatch run chaos --seed {outcome.seed} --runs 1 --faults {options.faults}"
            f" --kinds {options.kinds} --calls {options.calls} --lease {options.lease:g}",
            flush=True,
        )


def print_table(outcomes):
    faults = sum((outcome.faults for outcome in outcomes), Counter())
    takeovers = [seconds for outcome in outcomes for seconds in outcome.takeovers]
    wrong = [str(outcome.seed) for outcome in outcomes if outcome.problems]
    print(f"\n{'fault':10} {'injected':>8}")
    for kind in KINDS:
        print(f"{kind:10} {faults[kind]:8}")
    print(f"{'in all':10} {faults.total():8}")
    print(f"\nruns: {len(outcomes)}; failed: {len(wrong)} {', '.join(wrong)}")
    if takeovers:
        print(
            f"time to take over after kill -9: median {statistics.median(takeovers):.2f} s,"
            f" max {max(takeovers):.2f} s ({len(takeovers)} owners)"
        )


if __name__ == "__main__":
    main()
