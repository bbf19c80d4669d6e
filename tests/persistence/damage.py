"""Damage a saved file in many places, and see what loading does.

    python tests/persistence/damage.py 1000

Each trial changes, removes, inserts or repeats some bytes at a random place, or cuts
the file there. Loading must give the same estimator or raise ValueError, and must not
import, compile or execute anything, start a process or open a file: an audit hook
counts. Prints the tally as JSON.
"""

import json
import sys
from collections import Counter

import numpy as np
import pandas as pd

import skmtl
from skmtl.persistence import from_bytes, to_bytes

WATCHED = (
    "compile", "exec", "import", "open", "os.exec", "os.fork", "os.posix_spawn",
    "os.spawn", "os.system", "pickle.find_class", "socket", "subprocess", "ctypes",
)  # fmt: skip


def damaged(data, rng):
    """The bytes with one thing wrong at a random place, in its header as often."""
    header = 8 + int.from_bytes(data[:8], "little")
    at = int(rng.integers(header if rng.random() < 0.5 else len(data)))
    n = int(rng.integers(1, 9))
    noise = rng.bytes(n)
    return [
        data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :],
        data[:at] + noise + data[at + n :],
        data[:at] + data[at + n :],
        data[:at] + noise + data[at:],
        data[:at] + data[at : at + n] * 2 + data[at + n :],
        data[:at],
    ][int(rng.integers(6))]


def main(n_trials):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"item": list("abcd") * 50, "price": rng.normal(size=200)})
    y = pd.DataFrame({"click": X["price"] > 0, "order": X["price"] > 1}).astype(int)
    ranker = skmtl.ShareBottom(
        bottom_units=(4,), tower_units=(), embedding_dim=2, max_iter=1, random_state=0
    ).fit(X, y)
    data = to_bytes(ranker)
    expected = from_bytes(data).predict_task_proba(X)
    tally, events, watching = Counter(), Counter(), False

    def hook(event, _):
        if watching and event.startswith(WATCHED):
            events[event] += 1

    sys.addaudithook(hook)
    for _ in range(n_trials):
        trial = damaged(data, rng)
        watching = True
        try:
            loaded = from_bytes(trial)
        except ValueError as error:
            tally[f"refused: {str(error)[:40]}"] += 1
            continue
        finally:
            watching = False
        same = np.array_equal(loaded.predict_task_proba(X), expected)
        tally["the same" if same else "CHANGED"] += 1
    print(json.dumps({"tally": tally, "events": events, "bytes": len(data)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
