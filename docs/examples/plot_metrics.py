"""
Judge a ranker task by task
===========================

One model predicts clicks and orders. Over all rows its AUC looks good, pooled over
tasks even better, while within users it ranks far worse. Here is what each metric sees,
with intervals that draw whole users.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl.metrics import group_roc_auc, roc_auc, task_report

# %%
# Two thousand users see ten items each. Users differ in how often they click: that is
# most of what a model can learn. The model below knows the users well and the items a
# little. Orders follow clicks, and a tenth of them is not known yet.
rng = np.random.default_rng(0)
n_users, n_items = 2000, 10
users = np.repeat(np.arange(n_users), n_items)
activity = rng.normal(0, 1.5, n_users)[users]
appeal = rng.normal(0, 1, users.size)
click = rng.random(users.size) < 1 / (1 + np.exp(2 - activity - appeal))
order = click & (rng.random(users.size) < 1 / (1 + np.exp(2 - appeal)))
y = pd.DataFrame({"click": click, "order": order}).astype(float)
y.loc[rng.random(users.size) < 0.1, "order"] = np.nan

known = activity + 0.4 * appeal + rng.normal(0, 0.7, users.size)
proba = pd.DataFrame(
    {
        "click": 1 / (1 + np.exp(2 - known)),
        "order": 1 / (1 + np.exp(4.3 - known)),
    }
)

# %%
# One table holds everything. The intervals of the bootstrap draw users, not rows.
report = task_report(
    y, proba, users, k=3, interval="bootstrap", n_resamples=200, random_state=0
)
report[["n_labels", "positives", "roc_auc", "group_roc_auc", "group_coverage"]].round(3)

# %%
# Pooling the tasks mixes their base rates into the ranking: the number is higher than
# that of either task, and says nothing about the order of items.
both = y.notna().all(axis=1)
pooled = roc_auc(y[both].to_numpy().ravel(), proba[both].to_numpy().ravel())
print(f"pooled over tasks: {pooled:.3f}")

# %%
# GAUC depends on its weights, and stands for the users who have both classes only.
for weights in ("impressions", "clicks", "equal"):
    value, coverage = group_roc_auc(
        y, proba, users, weights=weights, return_coverage=True
    )
    print(f"{weights:<12} {value.round(3)}, groups covered {coverage.groups.round(2)}")

# %%
# Every metric between 0 and 1 with its interval, and the calibration of both tasks.
fig, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.8), width_ratios=[2.2, 1], layout="constrained"
)
names = ["roc_auc", "group_roc_auc", "ndcg@3", "precision@3", "recall@3", "mrr@3"]
for shift, (task, row) in zip((-0.12, 0.12), report.iterrows(), strict=True):
    value = row[names].to_numpy(float)
    low = row[[f"{name}_low" for name in names]].to_numpy(float)
    high = row[[f"{name}_high" for name in names]].to_numpy(float)
    place = np.arange(len(names)) + shift
    left.errorbar(value, place, xerr=[value - low, high - value], fmt="o", label=task)
left.plot([0.5, 0.5], [-0.4, 1.4], color="0.7", linestyle="--", zorder=0)
left.text(0.49, 1.3, "random order", ha="right", color="0.4")
left.set(xlim=(0, 1), xlabel="value, 95 % interval over users")
left.set_yticks(range(len(names)), names)
left.invert_yaxis()
left.legend(loc="lower left")

ratio = report["predicted_to_observed"]
reach = [
    ratio - report["predicted_to_observed_low"],
    report["predicted_to_observed_high"] - ratio,
]
right.errorbar(
    range(2), ratio, yerr=reach, fmt="none", ecolor="0.3", capsize=4, zorder=3
)
right.bar(range(2), ratio, width=0.5, color=["C0", "C1"])
right.axhline(1, color="0.5", linestyle="--")
right.set(ylabel="predicted / observed positives", xlim=(-0.6, 1.6))
right.set_xticks(range(2), report.index)
plt.show()
