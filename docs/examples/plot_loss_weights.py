"""
How loss weights change during training
=======================================

A strategy adapts the weight of each task's loss during training, based on losses or
gradients. This example shows the weights that four strategies give to three tasks of an
e-commerce funnel, of which the last is rare.
"""

import matplotlib.pyplot as plt
import pandas as pd

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.metrics import roc_auc

# %%
# Train on the first part of the log and evaluate on the rest.

log = make_funnel(30_000, random_state=0)
tasks = ["click", "cart", "order"]
X_train, X_test = log.data[:20_000], log.data[20_000:]
y_train, y_test = log.target[tasks][:20_000], log.target[tasks][20_000:]
y_train.mean().round(4)

# %%
# One fit per strategy. ``history_`` has one row per epoch and task.

strategies = ["inverse_ratio", "uncertainty", "gradnorm", "mgda"]
history, auc = {}, {}
for strategy in strategies:
    ranker = MMoE(
        loss_weight=strategy,
        n_experts=4,
        expert_units=(32,),
        max_iter=6,
        random_state=0,
        record_gradients=True,
    ).fit(X_train, y_train)
    history[strategy] = ranker.history_
    auc[strategy] = roc_auc(y_test.to_numpy(), ranker.predict_task_proba(X_test))
pd.DataFrame(auc, index=tasks).round(4)

# %%
# The weights are divided by the weight of clicks to make strategies comparable: only
# the ratios determine the direction of a step.

fig, axes = plt.subplots(
    2, 2, figsize=(6.5, 5.5), sharex=True, sharey=True, layout="constrained"
)
for ax, strategy in zip(axes.flat, strategies, strict=True):
    table = history[strategy].pivot(index="epoch", columns="task", values="loss_weight")
    table = table[tasks].div(table["click"], axis=0)
    for marker, task in zip("osD", tasks, strict=True):
        ax.plot(table.index, table[task], marker=marker, fillstyle="none", label=task)
    ax.set(title=strategy, yscale="log")
    ax.grid(alpha=0.4)
for ax in axes[1]:
    ax.set_xlabel("epoch")
for ax in axes[:, 0]:
    ax.set_ylabel("weight / weight of click")
fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %%
# Do the gradients of the tasks agree? They do if the cosine of the gradients at the
# outputs of the experts is above 0.

last = history["gradnorm"].groupby("task", sort=False).tail(1).set_index("task")
last[["gradient_norm", *(f"cosine_{task}" for task in tasks)]].round(3)
