"""What type checkers and editors must know of code that uses skmtl.

Nothing here is run: ``mypy`` and ``basedpyright`` check it. They fail on a wrong
``assert_type``, and on a comment that ignores an error which they do not find.
"""

from typing import assert_type

import pandas as pd

import skmtl
from skmtl import MMoE, OutputWeightSearchCV, ShareBottom, TableEncoder


def rankers(X: pd.DataFrame, y: pd.DataFrame) -> None:
    ranker = MMoE(n_experts=4, expert_units=(64, 32), dropout=0.1, random_state=0)
    assert_type(ranker, MMoE)
    assert_type(ranker.fit(X, y), MMoE)
    assert_type(ShareBottom().fit(X, y, X_val=X, y_val=y), ShareBottom)
    assert_type(ShareBottom().partial_fit(X, y), ShareBottom)
    assert_type(ranker.n_experts, int)
    assert_type(ranker.encoder_, TableEncoder)
    assert_type(ranker.history_, pd.DataFrame)
    assert_type(ranker.best_iter_ + ranker.n_iter_ + ranker.n_validation_rows_, int)
    assert_type(skmtl.MMoE(), MMoE)
    search = OutputWeightSearchCV(ranker, scoring="auc:order", cv="prefit")
    assert_type(search.fit(X, y), OutputWeightSearchCV)


def mistakes() -> None:
    MMoE(dropout="a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    skmtl.MMOE  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def mistakes_that_only_pyright_sees(X: pd.DataFrame, y: pd.DataFrame) -> None:
    """mypy takes scikit-learn's classes, of which rankers inherit, for anything."""
    MMoE(n_expert=2)  # pyright: ignore[reportCallIssue]
    MMoE(8)  # pyright: ignore[reportCallIssue]
    ShareBottom(n_experts=2)  # pyright: ignore[reportCallIssue]
    MMoE().fitt(X, y)  # pyright: ignore[reportAttributeAccessIssue]
    ShareBottom().gate_weights(X)  # pyright: ignore[reportAttributeAccessIssue]
