"""
How loss weights move in training
=================================

A strategy chooses the weight of each task's loss anew, from losses or gradients. Here
is where some of them bring the weights of three tasks of the e-commerce funnel, of
which the last is rare.
"""

import matplotlib.pyplot as plt
import pandas as pd

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.metrics import roc_auc

# %%
# Train on the first part of the log, judge on the rest.

log = make_funnel(30_000, random_state=0)
tasks = ["click", "cart", "order"]
X_train, X_test = log.data[:20_000], log.data[20_000:]
y_train, y_test = log.target[tasks][:20_000], log.target[tasks][20_000:]
y_train.mean().round(4)

# %%
# One fit for each. ``history_`` has a row for each epoch and task.

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
# The weights are divided by that of the first task, so that strategies can be compared:
# only the ratios decide which way a step goes.

fig, axes = plt.subplots(1, 4, figsize=(11, 3), sharey=True, layout="constrained")
for ax, strategy in zip(axes, strategies, strict=True):
    table = history[strategy].pivot(index="epoch", columns="task", values="loss_weight")
    table = table[tasks].div(table["click"], axis=0)
    for marker, task in zip("osD", tasks, strict=True):
        ax.plot(table.index, table[task], marker=marker, fillstyle="none", label=task)
    ax.set(title=strategy, xlabel="epoch", yscale="log")
    ax.grid(alpha=0.4)
axes[0].set_ylabel("loss weight / that of click")
axes[-1].legend()
plt.show()

# %%
# Do the tasks pull the same way? A cosine of their gradients at the experts' outputs
# above 0 says so.

last = history["gradnorm"].groupby("task", sort=False).tail(1).set_index("task")
last[["gradient_norm", *(f"cosine_{task}" for task in tasks)]].round(3)
