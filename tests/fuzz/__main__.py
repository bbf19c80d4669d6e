"""Run the campaign: ``python -m tests.fuzz metrics 10000 --seed 1``.

Prints how many inputs ended how, and one example of each fault. Exits with 1 if there
is one. ``--seconds`` ends each area after so long. ``--simplest`` stops at the first
fault and prints it in its simplest form.
"""

import argparse
import math
import sys
import time

from tests.fuzz.campaign import AREAS, check, run
from tests.fuzz.machine import RankerLife
from tests.fuzz.outcomes import Tally


def main():
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("area", choices=[*AREAS, "life", "all"])
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--simplest", action="store_true")
    args = parser.parse_args()
    if args.area == "life":
        return live(args.n, args.seed)
    faults = 0
    for area in AREAS if args.area == "all" else [args.area]:
        if args.simplest:
            check(area, args.n)
            continue
        tally, start = Tally(), time.perf_counter()
        n = run(area, args.n, first_seed=args.seed, tally=tally, seconds=args.seconds)
        print(f"{area}: {n:,} inputs, {time.perf_counter() - start:.0f} s")
        print(tally, flush=True)
        faults += sum(tally.faults.values())
    return min(faults, 1)


def live(n, first_seed):
    """Run the state machine; a fault is printed with the steps that lead to it."""
    from hypothesis import seed, settings
    from hypothesis.stateful import run_state_machine_as_test

    start = time.perf_counter()
    run_state_machine_as_test(
        seed(first_seed)(RankerLife),
        settings=settings(
            max_examples=n, stateful_step_count=20, deadline=None, database=None
        ),
    )
    print(f"life: {n:,} lives of up to 20 steps, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
