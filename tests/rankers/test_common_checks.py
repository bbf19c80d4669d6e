"""Every ranker is a scikit-learn classifier, with no expected failure."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl import ChainedMMoE, MMoE, ShareBottom


@parametrize_with_checks(
    [ShareBottom(), MMoE(), ChainedMMoE(), ChainedMMoE(chain_probability=True)]
)
def test_common_checks(estimator, check):
    check(estimator)
