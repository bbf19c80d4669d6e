"""
Output weights of any classifier
================================

How should clicks, carts and orders count in one ranking? The search works with any
classifier for several outputs, such as boosted trees. The triangle shows what each
choice gains for orders, the Pareto front what it costs in clicks.
"""

import matplotlib.pyplot as plt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.multioutput import MultiOutputClassifier

from skmtl import OutputWeightSearchCV
from skmtl.datasets import make_funnel
from skmtl.displays import OutputWeightsDisplay, ParetoFrontDisplay

# %%
# Impressions in a shop. An order requires a cart, and a cart requires a click.
log = make_funnel(30_000, random_state=0)
X = log.data.select_dtypes("number")
y = log.target[["click", "cart", "order"]]
y.mean().round(4)

# %%
# The model is fitted once on each of three folds, and once more on all rows. All 1330
# points of the grid are evaluated on the probabilities of the held-out rows.
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
# Is the choice significantly better than simple weights?
search.bootstrap_intervals(50, random_state=0).round(4)

# %%
# Only the shares of the weights matter, so three tasks fit into a triangle. Every dot
# is a candidate: crossed out if it violates the constraint, with a black dot if it is
# below the interval of the best. With so few orders, nearly all are within it.
OutputWeightsDisplay.from_search(search, n_resamples=50, random_state=0).plot()
plt.show()

# %%
# What orders gain, clicks pay. No candidate is above and to the right of the front.
ParetoFrontDisplay.from_search(search).plot()
plt.show()
