"""
Three rankers on one table
==========================

The UCI Adult table has two feedback-like columns: income above 50,000 and never
married. We fit the three architectures with their defaults, and compare the ROC AUC of
each task on rows held out.
"""

# %%
# One table of ids and numbers, and one column of labels per task.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skmtl import ChainedMMoE, MMoE, ShareBottom
from skmtl.datasets import load_adult

X, y = load_adult(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
y_train.head()

# %%
# Strings are ids by their dtype; nothing else needs to be said.

auc = {}
for kind in (ShareBottom, MMoE, ChainedMMoE):
    ranker = kind(max_iter=3, random_state=0).fit(X_train, y_train)
    proba = ranker.predict_task_proba(X_test)
    auc[kind.__name__] = {
        task: roc_auc_score(y_test[task], proba[:, t])
        for t, task in enumerate(ranker.task_names_)
    }
auc = pd.DataFrame(auc)
auc.round(4)

# %%
# On these strongly related tasks the architectures are close.

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
for marker, (name, values) in zip("osD", auc.items(), strict=True):
    ax.plot(values, values.index, marker, label=name, fillstyle="none", markersize=9)
ax.set(xlabel="ROC AUC on held-out rows", ylabel="task", ylim=(-0.5, 1.5))
ax.grid(axis="x", alpha=0.4)
ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.show()
