"""
Did sharing help?
=================

Two tasks may help or hinder each other. We generate binary tasks whose weight vectors
have a known correlation, with few labels for the second task, and compare architectures
with one network per task.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MMoE, PooledTask, ShareBottom, SingleTask
from skmtl.datasets import make_correlated_tasks
from skmtl.displays import TransferDisplay
from skmtl.inspection import expert_similarity, gate_report, transfer_report

# %%
# The first task is observed for every row, the second for one row in ten. The tasks are
# closely related: the cosine of their weight vectors is 0.9.
X, y = make_correlated_tasks(
    6000, 30, correlation=0.9, positive_rate=0.3, random_state=0
)
y = pd.DataFrame(y, columns=["common", "rare"], dtype=float)
y.loc[np.random.default_rng(0).random(len(y)) < 0.9, "rare"] = np.nan
y.notna().sum()

# %%
# All estimators use the same folds, seeds, epochs and batch sizes.
budget = {"max_iter": 6, "batch_size": 128, "n_bins": 0}
estimators = {
    "SingleTask": SingleTask(bottom_units=(32,), **budget),
    "PooledTask": PooledTask(bottom_units=(32,), **budget),
    "ShareBottom": ShareBottom(bottom_units=(32,), **budget),
    "MMoE": MMoE(n_experts=4, expert_units=(16,), **budget),
}
report = transfer_report(estimators, X, y, cv=5, random_states=[0, 1])
report.drop(columns=["metric", "fit_time"]).round(4)

# %%
# Sharing gains more for the task with few labels than it costs the other one, but the
# intervals of the gain contain zero: five folds that share most of their training rows
# contain less information than five new tables. The small cost for the common task is
# significant. One score for both tasks, ``PooledTask``, costs the common task the most.
TransferDisplay.from_report(report).plot()
plt.show()

# %%
# How do the tasks use the experts of MMoE? The report would warn about collapsed gates
# and about experts that no task uses.
ranker = estimators["MMoE"].set_params(random_state=0).fit(X, y)
gates = gate_report(ranker, X)
gates.round(3)

# %%
# If the outputs of two experts are alike, one of them is redundant.
weights = gates.pivot(index="task", columns="expert", values="weight")
similarity = expert_similarity(ranker, X)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for ax, table, title in (
    (left, weights, "mean weight of the experts"),
    (right, similarity, "similarity (CKA)"),
):
    image = ax.imshow(table, vmin=0, vmax=1, cmap="Blues")
    ax.set(title=title, xlabel="expert")
    ax.set_xticks(range(table.shape[1]), table.columns)
    ax.set_yticks(range(table.shape[0]), table.index)
    for (i, j), value in np.ndenumerate(table.to_numpy()):
        color = "white" if value > 0.6 else "black"
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=color)
plt.show()
