"""
Look into the gates
===================

Which experts does each task read, and are the experts different at all? Two groups of
tasks, where those of one group go together, show what to look for.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import PLE, MMoE
from skmtl.displays import ExpertSimilarityDisplay, GateWeightsDisplay
from skmtl.inspection import expert_similarity

# %%
# Two causes, and two tasks that follow each.
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(20_000, 6)), columns=list("abcdef"))
liking = np.sin(2 * X["a"]) + X["b"] * X["c"]
buying = np.abs(X["d"]) + X["e"] * X["f"]
y = pd.DataFrame(
    {
        "click": liking + rng.logistic(size=len(X)) > 1,
        "share": liking + rng.logistic(size=len(X)) > 2,
        "cart": buying + rng.logistic(size=len(X)) > 2,
        "order": buying + rng.logistic(size=len(X)) > 3,
    }
).astype(int)

# %%
# Each box holds the middle half of the rows, its whiskers nine of ten. The dashed line
# is an equal share. Gates whose boxes lie far from it have chosen; long boxes choose
# anew for every row.
mmoe = MMoE(n_experts=4, expert_units=(32,), random_state=0).fit(X, y)
GateWeightsDisplay.from_estimator(mmoe, X).plot()
plt.show()

# %%
# The means in one table: rows that look alike are tasks that use the experts alike:
# click with share and cart with order.
GateWeightsDisplay.from_estimator(mmoe, X).plot(kind="mean")
plt.show()

# %%
# With experts of their own beside shared ones, the tasks of PLE read only these.
ple = PLE(expert_units=(32,), random_state=0).fit(X, y)
GateWeightsDisplay.from_estimator(ple, X).plot()
plt.show()

# %%
# Outputs of two experts that are equal up to a rotation and a scale have similarity 1.
ExpertSimilarityDisplay(similarity=expert_similarity(mmoe, X)).plot()
plt.show()
