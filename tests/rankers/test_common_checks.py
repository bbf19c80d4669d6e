"""Every ranker is a scikit-learn classifier, with no expected failure."""

import inspect

from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import ChainedMMoE, rankers

KINDS = [getattr(rankers, name) for name in rankers.__all__]
# Five epochs, as many as scikit-learn gives its own estimators in these checks.
RANKERS = [kind(max_iter=3) for kind in KINDS if not inspect.isabstract(kind)]
VARIANTS = [ChainedMMoE(chain_probability=True, max_iter=3)]


@parametrize_with_checks(RANKERS + VARIANTS)
def test_common_checks(estimator, check):
    check(estimator)
