"""Where the time of one step of training goes, by parts and by operators."""

from __future__ import annotations

import argparse
from collections import defaultdict

import torch
from torch.profiler import ProfilerActivity, profile
from with_skmtl import fit, prepare
from workload import make_workload

STEPS = 60
# Operators that do most of the work, and what they are for.
PARTS = {
    "mkldnn::_linear_pointwise": "dense layers",
    "aten::mm": "dense layers",
    "aten::addmm": "dense layers",
    "aten::bmm": "mixing experts",
    "aten::baddbmm": "dense layers",
    "aten::threshold_backward": "activations",
    "aten::clamp_min_": "activations",
    "aten::relu_": "activations",
    "aten::_softmax": "gates",
    "aten::_softmax_backward_data": "gates",
    "aten::index_select": "reading rows of tables",
    "aten::index_copy_": "writing rows of tables",
    "aten::_embedding_bag_forward_only": "summing gradients of rows",
    "aten::index": "taking the batch",
    "aten::_fused_adamw_": "optimiser of the network",
    "aten::cat": "copies",
    "aten::copy_": "copies",
}


def main() -> None:
    """Profile steps and print parts, largest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mmoe")
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--largest", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("competitor", help="skmtl")
    options = parser.parse_args()
    options.rows, options.epochs, options.seed = STEPS * options.batch_size, 1, 0
    options.adam, options.precision = False, "float32"
    torch.set_num_threads(options.threads)
    work = make_workload(options.rows, options.largest)
    fit(prepare(work.head(2000)), options)
    data = prepare(work)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        fit(data, options)
    parts: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        parts[PARTS.get(event.key, "all else")] += event.self_cpu_time_total
    total = sum(parts.values())
    print(f"{options.model}, batch {options.batch_size}: a fit of {STEPS} steps")
    for part, time in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"  {part:<28}{time / total:>7.1%}{time / STEPS / 1e3:>9.2f} ms a step")


if __name__ == "__main__":
    main()
