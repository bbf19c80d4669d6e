"""
Choose output weights
=====================

How should clicks, carts and orders count in one ranking? The map shows what each choice
gives for orders, the trade-off what it costs in clicks.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.multioutput import MultiOutputClassifier

from skmtl import OutputWeightSearchCV
from skmtl.datasets import make_funnel

# %%
# Impressions of a shop; an order follows a cart, a cart follows a click.
log = make_funnel(30_000, random_state=0)
X = log.data.select_dtypes("number")
y = log.target[["click", "cart", "order"]]
y.mean().round(4)

# %%
# The model is fitted once for each of three folds and once in the end. All 1330 points
# of the grid are judged on the probabilities of the rows left out.
model = MultiOutputClassifier(
    HistGradientBoostingClassifier(max_iter=40, learning_rate=0.05, random_state=0)
)
search = OutputWeightSearchCV(
    model,
    scoring=["auc:order", "auc:click"],
    refit="auc:order",
    constraints={"auc:click": (">=", 0.98, "relative")},
    cv=3,
    n_jobs=2,
).fit(X, y)
print(search.best_params_, round(search.best_score_, 4))

# %%
# Is the choice better than simple ones, or is it chance?
search.bootstrap_intervals(50, random_state=0).round(4)

# %%
# Left: the share of each task in the sum of the weights. Right: no point lies above and
# to the right of the Pareto set; the constraint keeps what is right of the line.
points = np.array([list(p.values()) for p in search.cv_results_["params"]])
share = points / points.sum(axis=1, keepdims=True)
order = search.cv_results_["mean_test_auc:order"]
click = search.cv_results_["mean_test_auc:click"]
best = search.best_index_

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
corner = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
place = share @ corner
dots = left.scatter(*place.T, c=order, s=14, cmap="viridis")
left.scatter(*place[best], marker="*", s=220, color="C3", edgecolor="white")
for (x, height), name, where in zip(
    corner, y.columns, ("top", "top", "bottom"), strict=True
):
    shift = -0.03 if where == "top" else 0.03
    left.text(x, height + shift, f"{name} alone", ha="center", va=where)
left.set(xlim=(-0.15, 1.15), ylim=(-0.12, 0.98))
left.set_axis_off()
fig.colorbar(dots, ax=left, label="AUC of order", shrink=0.8)

right.scatter(click, order, s=8, color="0.75", label="candidates")
right.plot(*search.pareto_scores_[:, ::-1].T, ".-", color="C0", label="Pareto set")
right.axvline(click[search.cv_results_["feasible"]].min(), color="0.5", linestyle="--")
right.scatter(
    click[best], order[best], marker="*", s=220, color="C3", edgecolor="white",
    label="chosen", zorder=3,
)  # fmt: skip
right.set(xlabel="AUC of click", ylabel="AUC of order")
right.legend(loc="upper left")
plt.show()
