"""
Clicks, stars and dwell times in one network
============================================

A table of impressions rarely has only clicks. In this example, stars and seconds of
dwell time are known for the films that were clicked. One network learns all three.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from skmtl import MMoE, RegressionTask, fuse
from skmtl.metrics import task_report

# %%
# The table is like MovieLens: users and films have tastes, which only their ids reveal.
# Users who like a film click it more often, give it more stars and stay longer, but
# short films are clicked more. Since the table is generated, we know the true values.
rng = np.random.default_rng(0)
n = 40_000
taste, films = rng.normal(size=(150, 2)), rng.normal(size=(100, 2))
length = rng.normal(size=100)
user, film = rng.integers(150, size=n), rng.integers(100, size=n)
fit = (taste[user] * films[film]).sum(axis=1)
chance = expit(fit - 0.6 * length[film] - 0.5)
seconds = np.exp(4 + 0.4 * fit + 0.6 * length[film])
click = rng.random(n) < chance
liking = 1.5 * fit + rng.logistic(size=n)
X = pd.DataFrame({"user": user.astype(str), "film": film.astype(str)})
y = pd.DataFrame(
    {
        "click": click.astype(float),
        "stars": np.digitize(1.5 * fit + rng.logistic(size=n), [-2, -0.7, 0.7, 2])
        + 1.0,
        "dwell": rng.gamma(2.0, seconds / 2),
    }
)
y.loc[~click, ["stars", "dwell"]] = np.nan
y.head()

# %%
# ``task_kinds`` says what the labels are. Dwell times are positive, and long ones vary
# more than short ones: the loss of a gamma distribution takes this into account.
train, test = slice(0, 30_000), slice(30_000, None)
ranker = MMoE(
    task_kinds={"stars": "ordinal", "dwell": RegressionTask("gamma")},
    n_experts=4,
    expert_units=(32,),
    max_iter=4,
    random_state=0,
)
ranker.set_output(transform="pandas").fit(X[train], y[train])
values = ranker.predict_task(X[test])
values.head()

# %%
# Each task is evaluated by the metrics of its kind.
report = task_report(y[test], values, task_kinds=ranker.task_kinds_, interval=None)
report[["n_labels", "roc_auc", "kappa", "rmse", "r2", "spearman"]].round(3)

# %%
# Expected labels can be compared with what they estimate. Rows are sorted by the
# prediction and averaged in twenty parts; on the diagonal, both are equal.
fig, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
labels = y[test].reset_index(drop=True)
for ax, task in zip(axes, y, strict=True):
    known = labels[task].notna()
    predicted = values.reset_index(drop=True).loc[known, task]
    parts = pd.qcut(predicted.rank(method="first"), 20, labels=False)
    x, observed = predicted.groupby(parts).mean(), labels[task].groupby(parts).mean()
    ax.axline((x.min(), x.min()), slope=1, color="0.7")
    ax.plot(x, observed, "o", markersize=4)
    ax.set(title=task, xlabel="predicted", ylabel="observed")
plt.show()

# %%
# The worth of an impression is the probability of a click times the expected time after
# a click. The first impressions of a ranking by this product are worth more than those
# of a ranking by the probability of a click, as short films are clicked more often.
worth = chance[test] * seconds[test]
scores = {
    "P(click)": values["click"],
    "P(click) E[dwell]": fuse(values, {("click", "dwell"): 1}),
    "the truth": worth,
}
share = np.linspace(0.01, 1, 100)
fig, ax = plt.subplots(figsize=(5, 3.5), layout="constrained")
for name, score in scores.items():
    ranked = worth[np.argsort(-np.asarray(score))]
    ax.plot(share, [ranked[: int(s * len(worth))].mean() for s in share], label=name)
ax.set(xlabel="share of the impressions shown", ylabel="expected seconds of each")
ax.legend()
plt.show()
