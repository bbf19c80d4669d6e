"""
Fit a folder of Parquet files
=============================

A log that is larger than memory is a folder of Parquet files. This example writes a
small one, fits a ranker on it without ever reading it whole, and writes predictions to
a file.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from skmtl import MMoE, OutputWeightSearchCV
from skmtl.datasets import make_funnel
from skmtl.displays import HistoryDisplay
from skmtl.sources import ParquetFiles

# %%
# Seven days of a log, with a file for each day. The last two are for validation and for
# the search for output weights.
folder = Path(tempfile.mkdtemp())
log = make_funnel(56_000, order_rate=0.005, random_state=0)
frame = log.data.join(log.target)
for day, start in enumerate(range(0, len(frame), 8000)):
    frame[start : start + 8000].to_parquet(folder / f"day{day}.parquet")
files = sorted(folder.glob("*.parquet"))
ParquetFiles(files).n_rows

# %%
# Labels are columns of the files. Ids are counted in a first pass; a second one encodes
# the rows into random piles on disk, from which the epochs read.
tasks = ["click", "order"]
ranker = MMoE(
    categorical_features=["user_id", "item_id", "category_id", "device", "hour"],
    max_iter=6,
    n_iter_no_change=6,
    random_state=0,
    verbose=1,
)
ranker.fit(files[:5], y=tasks, X_val=files[5])

# %%
# The history is that of any other fit. The star marks the epoch whose weights are kept.
HistoryDisplay.from_estimator(ranker).plot("loss")
plt.show()

# %%
# Probabilities are written to a file, block by block, with the ids of the rows.
proba = ranker.predict_task_proba(
    files[6], to=folder / "proba.parquet", keep=["user_id", "item_id"]
)
proba.read().head(3).round(4)

# %%
# The search for output weights only holds the labels, the groups and the predictions of
# its rows.
search = OutputWeightSearchCV(ranker, scoring="gauc:click", cv="prefit")
search.fit(files[6], tasks, groups="user_id")
search.best_params_
