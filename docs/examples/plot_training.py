"""
Watch tasks learn, and overfit
==============================

Tasks of one network do not learn at one pace. Here is where they begin to overfit, with
and without label weights, and what the curves of the final rankers look like.
"""

import matplotlib.pyplot as plt

from skmtl import MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.displays import HistoryDisplay, TaskCalibrationDisplay, TaskROCDisplay

# %%
# A log of impressions with three kinds of feedback, each rarer than the one before.
log = make_funnel(30_000, random_state=0)
X, y = log.data, log.target[["click", "cart", "order"]]
train, valid = slice(0, 20_000), slice(20_000, None)
y.mean().round(4)

# %%
# The same network without and with label weights, and a shared bottom. All see the same
# validation rows, and keep the weights of the epoch that is best on them.
shared = {
    "max_iter": 6,
    "learning_rate": 2e-3,
    "scoring": "mean_auc",
    "random_state": 0,
}
rankers = {
    "MMoE": MMoE(n_experts=4, expert_units=(64,), **shared),
    "MMoE, label weights": MMoE(
        n_experts=4, expert_units=(64,), label_weight=[2, 10, 30], **shared
    ),
    "ShareBottom": ShareBottom(**shared),
}
for ranker in rankers.values():
    ranker.fit(X[train], y[train], X_val=X[valid], y_val=y[valid])

# %%
# Training AUC climbs towards 1, fastest for the rarest task. On validation rows nothing
# is gained after the second epoch. The star is the epoch that is best for the mean over
# the tasks; it leans on orders, of which there are few:
print("orders among the validation rows:", int(y["order"][valid].sum()))
HistoryDisplay.from_estimator(rankers).plot("auc")
plt.show()

# %%
# Loss and AUC of one ranker, task by task.
HistoryDisplay.from_estimator(rankers["MMoE"]).plot(["loss", "auc"])
plt.show()

# %%
# ROC curves of all tasks in one panel, and predicted against observed rates, each on
# its own scale. The label weights are undone in ``predict_proba``; predictions above
# the observed rate in the highest bin of cart are overfitting. Too few orders are there
# to judge theirs.
X_valid, y_valid = X[valid], y[valid]
TaskROCDisplay.from_estimator(rankers["MMoE"], X_valid, y_valid).plot()
plt.show()

# %%
TaskCalibrationDisplay.from_estimator(
    rankers["MMoE, label weights"], X_valid, y_valid, n_bins=5
).plot()
plt.show()

# %%
# What was fitted, in numbers:
print(rankers["MMoE"].summary())
