"""
Three rankers on one table
==========================

The UCI Adult table has two binary columns that can serve as tasks: income above 50,000
and never married. We fit three architectures with their defaults, and compare the ROC
AUC of each task on held-out rows.
"""

# %%
# One table of ids and numbers, and one column of labels per task.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from skmtl import ChainedMMoE, MMoE, ShareBottom
from skmtl.datasets import load_adult
from skmtl.metrics import task_report

X, y = load_adult(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
y_train.head()

# %%
# Columns of strings are ids; nothing has to be declared. ``task_report`` adds the 95 %
# interval of each AUC.

reports = {}
for kind in (ShareBottom, MMoE, ChainedMMoE):
    ranker = kind(max_iter=3, random_state=0).fit(X_train, y_train)
    ranker.set_output(transform="pandas")
    reports[kind.__name__] = task_report(y_test, ranker.predict_task_proba(X_test))
report = pd.concat(reports, names=["ranker"])
report[["positives", "roc_auc", "roc_auc_low", "roc_auc_high"]].round(4)

# %%
# On these strongly related tasks, the architectures differ by much less than the
# interval. Choose the fastest one, or compare them on several splits with
# :func:`~skmtl.inspection.transfer_report`.

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for k, (name, rows) in enumerate(reports.items()):
    auc = rows["roc_auc"]
    reach = [auc - rows["roc_auc_low"], rows["roc_auc_high"] - auc]
    height = np.arange(len(auc)) + 0.15 * (k - 1)
    ax.errorbar(auc, height, xerr=reach, fmt="osD"[k], label=name)
ax.set(xlabel="AUC on held-out rows, 95 % interval", ylim=(1.5, -0.5))
ax.set_yticks(range(len(auc)), auc.index)
ax.grid(axis="x", alpha=0.4)
fig.legend(loc="outside lower center", ncols=3)
plt.show()
