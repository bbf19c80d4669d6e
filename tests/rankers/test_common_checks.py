"""Every ranker is a scikit-learn classifier, with no expected failure."""

import inspect

from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import ChainedMMoE, rankers

KINDS = [getattr(rankers, name) for name in rankers.__all__]
VARIANTS = [ChainedMMoE(chain_probability=True)]


@parametrize_with_checks(
    [kind() for kind in KINDS if not inspect.isabstract(kind)] + VARIANTS
)
def test_common_checks(estimator, check):
    check(estimator)
