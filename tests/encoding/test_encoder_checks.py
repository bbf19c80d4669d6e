"""TableEncoder is a scikit-learn transformer."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from skmtl.encoding import TableEncoder


@parametrize_with_checks([TableEncoder(), TableEncoder(n_bins=0)])
def test_common_checks(estimator, check):
    check(estimator)
