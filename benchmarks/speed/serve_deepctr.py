"""DeepCTR-Torch's side of bench_serving.py: it predicts when it is told to.

    python serve_deepctr.py table.npz

The table holds ids as integers, numbers, and labels. After a line "rows place" on its
standard input it predicts so many rows from there on, and prints the microseconds.
"""

import contextlib
import sys
import time

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import MMOE


def main() -> None:
    """Fit, and answer."""
    torch.set_num_threads(1)
    table = np.load(sys.argv[1])
    ids, numbers, y = table["ids"], table["numbers"], table["y"]
    columns = [
        SparseFeat(f"id{i}", int(ids[:, i].max()) + 1, embedding_dim=16)
        for i in range(ids.shape[1])
    ] + [DenseFeat(f"number{i}", 1) for i in range(numbers.shape[1])]

    def inputs(at):
        found = {f"id{i}": ids[at, i] for i in range(ids.shape[1])}
        return found | {f"number{i}": numbers[at, i] for i in range(numbers.shape[1])}

    with contextlib.redirect_stdout(sys.stderr):
        model = MMOE(
            columns,
            num_experts=8,
            expert_dnn_hidden_units=(128,),
            gate_dnn_hidden_units=(),
            tower_dnn_hidden_units=(64,),
            task_types=["binary"] * y.shape[1],
            task_names=[f"task{t}" for t in range(y.shape[1])],
        )
        model.compile("adam", loss=["binary_crossentropy"] * y.shape[1])
        model.fit(inputs(slice(None)), y, batch_size=1024, epochs=1, verbose=0)
    print("ready", flush=True)
    for line in sys.stdin:
        n_rows, first = map(int, line.split())
        rows = inputs(slice(first, first + n_rows))
        start = time.perf_counter()
        model.predict(rows, batch_size=1024)
        print(1e6 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
