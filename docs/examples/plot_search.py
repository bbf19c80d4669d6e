"""
See what output weights trade
=============================

The best weights of a search are one point. The pictures show the land around it: how
flat it is, where a constraint cuts, and what the other tasks pay.
"""

import matplotlib.pyplot as plt

from skmtl import MMoE, OutputWeightSearchCV
from skmtl.datasets import make_funnel
from skmtl.displays import OutputWeightsDisplay, ParetoFrontDisplay

# %%
# A log with clicks, additions to the cart and orders, and one search for the ranking of
# carts that keeps 98 % of the AUC that clicks alone would reach for clicks.
log = make_funnel(30_000, random_state=0)
X, y = log.data, log.target[["click", "cart", "order"]]
search = OutputWeightSearchCV(
    MMoE(n_experts=4, expert_units=(32,), max_iter=2, random_state=0),
    scoring=["auc:cart", "auc:click"],
    refit="auc:cart",
    constraints={"auc:click": (">=", 0.98, "relative")},
    cv=3,
).fit(X, y)
search.best_params_

# %%
# Scale does not change an order, so three weights have two degrees of freedom: every
# candidate is a point of a triangle, with one task alone in each corner. The dashed
# line is the edge of the constraint, the solid line that of the bootstrap interval of
# the best: on so few rows, half of the triangle lies within it.
OutputWeightsDisplay.from_search(search, n_resamples=100, random_state=0).plot()
plt.show()

# %%
# The same as profiles, which any number of tasks can have.
OutputWeightsDisplay.from_search(search).plot(kind="profile")
plt.show()

# %%
# What carts gain, clicks pay. The front holds the candidates that no other beats.
ParetoFrontDisplay.from_search(search).plot()
plt.show()
