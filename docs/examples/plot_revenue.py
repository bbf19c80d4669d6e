"""
Rank by clicks, orders and revenue
==================================

A shop wants revenue, but also clicks. One network predicts the probability of a click,
that of an order, and the revenue of an order. A search finds how much a click should
count beside the expected revenue of an impression.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from skmtl import MMoE, OutputWeightSearchCV, RegressionTask
from skmtl.displays import OutputWeightsDisplay
from skmtl.metrics import get_task_scorer, precision_at_k, roc_auc

# %%
# The table is generated. A request shows ten items. People click the items and the
# categories that they like, but buy expensive items less often. The revenue is only
# known for orders.
rng = np.random.default_rng(0)
n, n_items = 40_000, 300
affinity = rng.normal(size=(6, 8))  # of six groups of users to eight categories
quality, category = rng.normal(size=n_items), rng.integers(8, size=n_items)
log_price = rng.normal(size=n_items) - 0.3 * quality
request = np.arange(n) // 10
group = rng.integers(6, size=n // 10)[request]
item = rng.integers(n_items, size=n)
liking = affinity[group, category[item]] + 0.7 * quality[item]
click = rng.random(n) < expit(liking - 0.4 * log_price[item] - 1.2)
order = click & (rng.random(n) < expit(liking - 0.6 * log_price[item] - 1))
price = 20 * np.exp(log_price[item])
X = pd.DataFrame(
    {
        "group": group.astype(str),
        "category": category[item].astype(str),
        "item": item.astype(str),
        "log_price": log_price[item],
    }
)
y = pd.DataFrame(
    {
        "click": click.astype(float),
        "order": order.astype(float),
        "revenue": np.where(order, price * rng.gamma(8, 1 / 8, n), np.nan),
    }
)
y.mean().round(3)

# %%
# ``terms`` says what is summed: the probability of a click, and the product of the
# probability of an order and the revenue of one. The metric is the revenue of each of
# the first three places of a request. (``"recall@3"`` would be the share of the revenue
# that they capture, in which a request with a small revenue counts as much as another.)
# A second metric, the AUC of clicks, must keep 97 % of what ranking by clicks alone
# reaches.
train, test = slice(0, 30_000), slice(30_000, None)
ranker = MMoE(
    task_kinds={"revenue": RegressionTask("gamma")},
    n_experts=4,
    expert_units=(32,),
    max_iter=4,
    random_state=0,
)
gains = {("order", "revenue"): 1}
earned = get_task_scorer("precision@3", gains=gains)
search = OutputWeightSearchCV(
    ranker,
    terms=["click", ("order", "revenue")],
    weights=21,
    scoring={"revenue of 3 places": earned, "auc:click": "auc:click"},
    refit="revenue of 3 places",
    constraints={"auc:click": (">=", 0.97, "relative")},
    cv=2,
).fit(X[train], y[train], groups=request[train])
search.best_params_

# %%
# The weights multiply predictions in their own units: a click counts as much as this
# amount of expected revenue.
round(search.best_params_["click"] / search.best_params_[("order", "revenue")], 1)

# %%
# Shares are those of terms of the same spread, so that they can be compared. The star
# is the best of those candidates that satisfy the constraint.
OutputWeightsDisplay.from_search(search).plot()
plt.show()

# %%
# On the requests that were held out, we compare the fused score with simpler ones.
values = search.estimator_.set_output(transform="pandas").predict_task(X[test])
scores = {
    "P(click)": values["click"],
    "P(order)": values["order"],
    "P(order) E[revenue]": values["order"] * values["revenue"],
    "searched": search.decision_function(X[test]),
}
labels, groups = y[test], request[test]
places = np.arange(1, 11)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, score in scores.items():
    earned = [precision_at_k(labels, score, groups, k=k, gains=gains) for k in places]
    auc = roc_auc(labels["click"], score)
    style = "--" if name == "searched" else "-"
    ax.plot(places, earned, style, marker="o", markersize=3, label=f"{name}: {auc:.3f}")
ax.set(xlabel="first places", ylabel="revenue of each place", xticks=places)
ax.legend(title="score, and its AUC of clicks")
plt.show()
