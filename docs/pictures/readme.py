"""Draw the picture of the README: ``python docs/pictures/readme.py``.

MMoE on a funnel of clicks and carts: how the tasks learn, which experts their gates
use, and the trade-off of a single ranking score for two tasks.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from skmtl import MMoE, OutputWeightSearchCV
from skmtl.datasets import make_funnel
from skmtl.displays import GateWeightsDisplay, HistoryDisplay, ParetoFrontDisplay

PICTURE = Path(__file__).parent.parent / "_static" / "readme.png"


def main() -> None:
    log = make_funnel(60_000, random_state=0)
    X, y = log.data, log.target[["click", "cart"]]
    train, valid = slice(0, 40_000), slice(40_000, None)
    ranker = MMoE(n_experts=4, random_state=0)
    ranker.fit(X[train], y[train], X_val=X[valid], y_val=y[valid])
    search = OutputWeightSearchCV(
        ranker,
        weights=21,
        scoring=["auc:click", "auc:cart"],
        refit="auc:cart",
        cv="prefit",
    ).fit(X[valid], y[valid])

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    HistoryDisplay.from_estimator({"MMoE": ranker}).plot(
        "auc", tasks=["cart"], ax=axes[0]
    )
    axes[0].set_title("AUC of cart by epoch")
    GateWeightsDisplay.from_estimator(ranker, X[valid]).plot(kind="mean", ax=axes[1])
    axes[1].set_title("experts used by each task")
    ParetoFrontDisplay.from_search(search).plot(ax=axes[2])
    axes[2].set_title("trade-off of one score")
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
