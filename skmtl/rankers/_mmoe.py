"""MMoE: experts, a gate and a tower per task."""

from __future__ import annotations

from skmtl.rankers._experts import ExpertRanker
from skmtl.rankers._parameters import shared_parameters


@shared_parameters
class MMoE(ExpertRanker):
    """Multi-gate mixture of experts.

    Tasks share a set of experts; each task mixes them by a softmax gate of its own,
    so that weakly related tasks need not share everything.

    Parameters
    ----------
    n_experts : int, default=8
        Number of experts.
    expert_units : sequence of int, default=(128,)
        Widths of the layers of each expert.
    bottom_units : sequence of int, default=()
        Dense layers that narrow a wide input before experts and gates; none for
        experts and gates directly on the input.
    gate_dropout : float, default=0.0
        Probability that a gate leaves an expert out, for every row, gate and expert
        in training. The softmax is taken again over the experts that stay, which
        keeps gates from collapsing on one.
    {shared_parameters}

    Attributes
    ----------
    {shared_attributes}

    See Also
    --------
    ShareBottom : Tasks share all of the bottom.
    ChainedMMoE : MMoE in which a task's tower reads that of the task before.

    References
    ----------
    J. Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, section 4.2, equations 5 to 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skmtl import MMoE
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 4))
    >>> y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 1]).astype(int)
    >>> ranker = MMoE(n_experts=4, random_state=0).fit(X, y)
    >>> click, order = ranker.predict_proba(X)
    >>> click.shape
    (1000, 2)
    """
