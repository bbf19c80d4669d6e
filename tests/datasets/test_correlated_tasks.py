import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmtl.datasets import make_correlated_tasks


def gram(bunch):
    return bunch.coef.T @ bunch.coef


@settings(deadline=None, max_examples=50)
@given(
    n_tasks=st.integers(1, 8),
    share=st.floats(0, 1),
    scale=st.floats(0.1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_gram_matrix_of_one_correlation(n_tasks, share, scale, seed):
    lowest = -1 / max(n_tasks - 1, 1)
    p = lowest + share * (1 - lowest)
    bunch = make_correlated_tasks(
        2,
        10,
        n_tasks=n_tasks,
        correlation=p,
        scale=scale,
        random_state=seed,
        return_X_y=False,
    )
    expected = scale**2 * (p + (1 - p) * np.eye(n_tasks))
    np.testing.assert_allclose(gram(bunch), expected, rtol=0, atol=1e-11)


@settings(deadline=None, max_examples=50)
@given(n_tasks=st.integers(2, 6), rank=st.integers(1, 6), seed=st.integers(0, 9999))
def test_gram_matrix_of_any_correlation(n_tasks, rank, seed):
    rows = np.random.default_rng(seed).standard_normal((n_tasks, rank))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    matrix = rows @ rows.T
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1)
    bunch = make_correlated_tasks(
        2, 6, n_tasks=n_tasks, correlation=matrix, random_state=seed, return_X_y=False
    )
    np.testing.assert_allclose(gram(bunch), matrix, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(bunch.correlation, matrix)


@pytest.mark.parametrize("p", [-1.0, -0.3, 0.0, 0.5, 0.9, 1.0])
def test_two_tasks_are_the_formula_of_the_paper(p):
    c, d, n, m = 2.0, 7, 50, 4
    bunch = make_correlated_tasks(
        n,
        d,
        correlation=p,
        n_sinusoids=m,
        scale=c,
        noise_variance=0.0,
        random_state=3,
        return_X_y=False,
    )
    # The first draw of the generator is the matrix that is made orthonormal.
    drawn = np.random.default_rng(3).standard_normal((d, 2))
    u1 = drawn[:, 0] / np.linalg.norm(drawn[:, 0])
    u2 = drawn[:, 1] - (drawn[:, 1] @ u1) * u1
    u2 /= np.linalg.norm(u2)
    w = np.stack([c * u1, c * (p * u1 + np.sqrt(1 - p * p) * u2)], axis=1)
    np.testing.assert_allclose(bunch.coef, w, rtol=0, atol=1e-12)
    assert bunch.alpha.shape == bunch.beta.shape == (m,)
    for row, value in zip(bunch.data, bunch.target, strict=True):
        for k in range(2):
            z = w[:, k] @ row
            y = z + sum(
                np.sin(a * z + b) for a, b in zip(bunch.alpha, bunch.beta, strict=True)
            )
            assert value[k] == pytest.approx(y, abs=1e-10)


def test_noise_has_the_given_variance():
    same = {"n_samples": 40_000, "n_features": 3, "random_state": 0}
    _, clean = make_correlated_tasks(**same, noise_variance=0.0)
    _, noisy = make_correlated_tasks(**same, noise_variance=0.25)
    # Standard deviation of the estimate: 0.25 sqrt(2 / 80000) = 0.00125.
    assert np.var(noisy - clean) == pytest.approx(0.25, abs=0.006)


def test_correlation_of_labels_grows_with_that_of_tasks():
    found = []
    for p in (0.0, 0.5, 0.9, 1.0):
        _, y = make_correlated_tasks(
            20_000, 10, correlation=p, positive_rate=0.3, random_state=0
        )
        found.append(np.corrcoef(y.T)[0, 1])
    assert np.all(np.diff(found) > 0.1)
    assert abs(found[0]) < 0.05


@pytest.mark.parametrize("rate", [0.001, [0.5, 0.01]])
def test_positive_rates(rate):
    bunch = make_correlated_tasks(
        10_000, 5, positive_rate=rate, random_state=0, return_X_y=False
    )
    expected = np.round(np.broadcast_to(rate, 2) * 10_000)
    assert bunch.target.sum(axis=0).tolist() == expected.tolist()
    assert bunch.target.dtype == np.int64
    np.testing.assert_array_equal(bunch.target, bunch.latent > bunch.threshold)


def test_same_seed_same_data_and_global_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make_correlated_tasks(50, 4, random_state=5)
    make_correlated_tasks(50, 4)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    second = make_correlated_tasks(50, 4, random_state=np.random.default_rng(5))
    other = make_correlated_tasks(50, 4, random_state=6)
    for a, b, c in zip(first, second, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    legacy = [
        make_correlated_tasks(5, 4, random_state=np.random.RandomState(1))[0]
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*legacy)


def test_regression_values_are_the_latent_values():
    bunch = make_correlated_tasks(9, 4, n_tasks=3, random_state=0, return_X_y=False)
    assert bunch.threshold is None
    assert bunch.target.shape == (9, 3)
    np.testing.assert_array_equal(bunch.target, bunch.latent)


def test_linear_tasks_and_one_task():
    bunch = make_correlated_tasks(
        9,
        4,
        n_tasks=1,
        n_sinusoids=0,
        noise_variance=0,
        random_state=0,
        return_X_y=False,
    )
    np.testing.assert_allclose(bunch.target, bunch.data @ bunch.coef)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer ≥ 1; got 0"),
        ({"n_samples": -3}, "n_samples must be an integer ≥ 1; got -3"),
        ({"n_tasks": 0}, "n_tasks must be an integer ≥ 1"),
        ({"n_features": 1}, "n_features must be an integer ≥ 2"),
        ({"n_sinusoids": -1}, "n_sinusoids must be an integer ≥ 0"),
        ({"scale": 0.0}, "scale must be a number in"),
        ({"scale": float("inf")}, "scale must be a number in"),
        ({"noise_variance": -0.1}, "noise_variance must be a number in"),
        ({"noise_variance": float("nan")}, "noise_variance must be a number in"),
        ({"correlation": 1.2}, "smallest eigenvalue is -0.2"),
        ({"correlation": -0.6, "n_tasks": 3}, "smallest eigenvalue is -0.2.*-0.5"),
        ({"correlation": np.eye(3)}, r"shape \(2, 2\).*got shape \(3, 3\)"),
        ({"correlation": [[1, 0.2], [0.3, 1]]}, "symmetric with ones"),
        ({"correlation": [[2, 0.2], [0.2, 2]]}, "symmetric with ones"),
        ({"correlation": float("nan")}, "correlation must be finite"),
        ({"positive_rate": 0.0}, "positive_rate must lie between 0 and 1"),
        ({"positive_rate": [0.1, 1.0]}, "positive_rate must lie between 0 and 1"),
        ({"positive_rate": [0.1]}, r"each of the 2 tasks; got shape \(1,\)"),
    ],
)
def test_bad_values(wrong, message):
    with pytest.raises(ValueError, match=message):
        make_correlated_tasks(**wrong)


@pytest.mark.parametrize("name", ["n_samples", "n_features", "n_tasks", "scale"])
@pytest.mark.parametrize("value", ["3", None, True])
def test_bad_types(name, value):
    with pytest.raises(TypeError, match=f"{name} must be"):
        make_correlated_tasks(**{name: value})
