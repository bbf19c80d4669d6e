"""
See tasks learn and overfit
===========================

The tasks of one network do not learn at the same speed. This example shows when each of
them starts to overfit, with and without label weights, and the ROC and calibration
curves of the final rankers.
"""

# sphinx_gallery_thumbnail_number = 3
import matplotlib.pyplot as plt

from skmtl import MMoE, ShareBottom
from skmtl.datasets import make_funnel
from skmtl.displays import HistoryDisplay, TaskCalibrationDisplay, TaskROCDisplay

# %%
# A log of impressions with three kinds of feedback, each rarer than the previous one.
log = make_funnel(30_000, random_state=0)
X, y = log.data, log.target[["click", "cart", "order"]]
train, valid = slice(0, 20_000), slice(20_000, None)
y.mean().round(4)

# %%
# The same network without and with label weights, and a shared bottom. All use the same
# validation rows and keep the weights of the best epoch on these rows.
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
# The training AUC keeps rising, fastest for the rarest task. The validation AUC of
# clicks does not improve after the second epoch, that of carts improves for longer. The
# star marks the best epoch for the mean over the tasks, which depends strongly on the
# few orders:
print("orders among the validation rows:", int(y["order"][valid].sum()))
HistoryDisplay.from_estimator(rankers).plot("auc")
plt.show()

# %%
# Loss and AUC of one ranker, by task.
HistoryDisplay.from_estimator(rankers["MMoE"]).plot(["loss", "auc"])
plt.show()

# %%
# ROC curves of all tasks in one panel, and calibration curves, each on its own scale.
# The effect of the label weights is undone in ``predict_proba``. Predictions above the
# observed rate indicate overfitting. There are too few orders to assess theirs, as the
# intervals show.
X_valid, y_valid = X[valid], y[valid]
TaskROCDisplay.from_estimator(rankers["MMoE"], X_valid, y_valid).plot()
plt.show()

# %%
TaskCalibrationDisplay.from_estimator(
    rankers["MMoE, label weights"], X_valid, y_valid, n_bins=5
).plot()
plt.show()

# %%
# Finally, a summary of the network:
print(rankers["MMoE"].summary())
