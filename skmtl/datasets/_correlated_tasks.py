"""Regression or binary tasks whose weight vectors have a given correlation."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skmtl.datasets._checks import (
    RandomState,
    check_generator,
    check_int,
    check_real,
)

# For each task: rounding may make eigenvalues of a singular matrix this negative.
_PSD_TOLERANCE = 1e-12


def make_correlated_tasks(
    n_samples: int = 1000,
    n_features: int = 100,
    *,
    n_tasks: int = 2,
    correlation: float | ArrayLike = 0.5,
    n_sinusoids: int = 10,
    scale: float = 1.0,
    noise_variance: float = 0.01,
    positive_rate: float | ArrayLike | None = None,
    return_X_y: bool = True,
    random_state: RandomState = None,
) -> Any:
    """Generate tasks on one input whose relatedness is a parameter.

    The synthetic data of the MMoE paper [1]_, for any number of tasks. The inputs are
    independent standard normal numbers, and task `k` is

    .. math::

        y_k = w_k^T x + \\sum_{i=1}^m \\sin(\\alpha_i w_k^T x + \\beta_i) + \\epsilon,
        \\quad \\epsilon \\sim N(0, \\sigma^2),

    with :math:`w_k^T w_l = c^2 R_{kl}` for the given correlation matrix `R`.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=100
        Number of inputs, at least ``n_tasks``.
    n_tasks : int, default=2
        Number of tasks.
    correlation : float or array-like of shape (n_tasks, n_tasks), default=0.5
        The cosine between the weight vectors of two tasks: one number for every pair,
        or a symmetric positive semi-definite matrix with ones on the diagonal.
    n_sinusoids : int, default=10
        Number `m` of sinusoids; 0 makes the tasks linear.
    scale : float, default=1.0
        Length `c` of every weight vector.
    noise_variance : float, default=0.01
        Variance :math:`\\sigma^2` of the noise.
    positive_rate : float or array-like of shape (n_tasks,), default=None
        If given, the tasks are binary: a label is 1 for this share of the rows, those
        with the highest values. One number for all tasks or one for each.
    return_X_y : bool, default=True
        If False, return a Bunch.
    random_state : int, Generator, RandomState or None, default=None
        Controls all random numbers. An int gives the same data each time.

    Returns
    -------
    tuple or sklearn.utils.Bunch
        With ``return_X_y``, the tuple ``(data, target)``. Otherwise a dictionary with
        attributes:

        data : ndarray of shape (n_samples, n_features), float64
            The inputs.
        target : ndarray of shape (n_samples, n_tasks), float64 or int64
            The values, or the labels 0 and 1 with ``positive_rate``.
        latent : ndarray of shape (n_samples, n_tasks), float64
            The values before the threshold; ``target`` itself without one.
        threshold : ndarray of shape (n_tasks,), float64, or None
            A label is 1 where ``latent`` is greater.
        coef : ndarray of shape (n_features, n_tasks), float64
            The weight vectors.
        alpha, beta : ndarray of shape (n_sinusoids,), float64
            Frequencies and phases of the sinusoids, shared by the tasks.
        correlation : ndarray of shape (n_tasks, n_tasks), float64
            The correlation matrix `R`.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the correlation is not positive
        semi-definite; the message gives the smallest eigenvalue.

    Notes
    -----
    Section 3.2 of [1]_ draws orthogonal unit vectors :math:`u_1, u_2` and sets
    :math:`w_1 = c u_1`, :math:`w_2 = c (p u_1 + \\sqrt{1 - p^2} u_2)`. For more tasks
    :math:`W = c U L^T`, with orthonormal columns in `U` and :math:`R = L L^T` lower
    triangular; for two tasks that is the paper's formula. The paper's noise
    :math:`N(0, 0.01)` is read as a variance of 0.01. It leaves the distribution of
    :math:`\\alpha` and :math:`\\beta` open; here they are standard normal.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., and Chi, E. H. (2018). Modeling
       Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts.
       KDD 2018, section 3.2.

    Examples
    --------
    >>> from skmtl.datasets import make_correlated_tasks
    >>> X, y = make_correlated_tasks(500, positive_rate=[0.1, 0.02], random_state=0)
    >>> X.shape, y.shape
    ((500, 100), (500, 2))
    >>> y.mean(axis=0)
    array([0.1 , 0.02])
    """
    n_samples = check_int("n_samples", n_samples, low=1)
    n_tasks = check_int("n_tasks", n_tasks, low=1)
    n_features = check_int("n_features", n_features, low=n_tasks)
    n_sinusoids = check_int("n_sinusoids", n_sinusoids, low=0)
    scale = check_real("scale", scale, low=0.0, closed="right")
    noise_variance = check_real("noise_variance", noise_variance, low=0.0)
    matrix = _check_correlation(correlation, n_tasks)
    rates = _check_rates(positive_rate, n_tasks)
    generator = check_generator(random_state)

    basis = _orthonormal(generator, n_features, n_tasks)
    coef = scale * basis @ _lower_factor(matrix).T
    alpha, beta = generator.standard_normal((2, n_sinusoids))
    X = generator.standard_normal((n_samples, n_features))
    linear = X @ coef
    latent = linear + np.sqrt(noise_variance) * generator.standard_normal(linear.shape)
    for a, b in zip(alpha, beta, strict=True):
        latent += np.sin(a * linear + b)

    target, threshold = latent, None
    if rates is not None:
        threshold = np.array(
            [
                np.quantile(column, 1 - rate)
                for column, rate in zip(latent.T, rates, strict=True)
            ]
        )
        target = (latent > threshold).astype(np.int64)
    if return_X_y:
        return X, target
    return Bunch(
        data=X,
        target=target,
        latent=latent,
        threshold=threshold,
        coef=coef,
        alpha=alpha,
        beta=beta,
        correlation=matrix,
    )


def _orthonormal(generator: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Draw k orthonormal columns of length n, uniformly."""
    q, r = np.linalg.qr(generator.standard_normal((n, k)))
    # Uniform only for the decomposition whose `r` has a positive diagonal; LAPACK does
    # not fix the signs.
    return q * np.sign(np.diag(r))


def _lower_factor(matrix: np.ndarray) -> np.ndarray:
    """Return lower triangular L with L Lᵀ = matrix and a non-negative diagonal.

    np.linalg.cholesky fails for singular matrices (tasks that are copies); the QR
    decomposition of the symmetric root does not.
    """
    values, vectors = np.linalg.eigh(matrix)
    # Rounding makes zero eigenvalues slightly negative.
    root = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
    upper = np.linalg.qr(root)[1]
    return (upper * np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]).T


def _check_correlation(correlation: float | ArrayLike, n_tasks: int) -> np.ndarray:
    matrix = np.asarray(correlation, dtype=np.float64)
    if matrix.ndim == 0:
        matrix = np.full((n_tasks, n_tasks), matrix)
        np.fill_diagonal(matrix, 1.0)
    if matrix.shape != (n_tasks, n_tasks):
        raise ValueError(
            f"correlation must be a number or have shape {(n_tasks, n_tasks)}, one row "
            f"and column for each task; got shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise ValueError("correlation must be finite; got NaN or infinity.")
    if not np.array_equal(matrix, matrix.T) or (np.diag(matrix) != 1).any():
        raise ValueError(
            "correlation must be symmetric with ones on the diagonal; got "
            f"{matrix.tolist()}."
        )
    smallest = float(np.linalg.eigvalsh(matrix)[0])
    if smallest < -_PSD_TOLERANCE * n_tasks:
        raise ValueError(
            "correlation must be positive semi-definite; its smallest eigenvalue is "
            f"{smallest:.6g}. With {n_tasks} tasks, one number for every pair must be "
            f"at least {-1 / max(n_tasks - 1, 1):.6g} and at most 1."
        )
    return matrix


def _check_rates(
    positive_rate: float | ArrayLike | None, n_tasks: int
) -> np.ndarray | None:
    if positive_rate is None:
        return None
    rates = np.asarray(positive_rate, dtype=np.float64)
    if rates.ndim == 0:
        rates = np.full(n_tasks, rates)
    if rates.shape != (n_tasks,):
        raise ValueError(
            f"positive_rate must be a number or one number for each of the {n_tasks} "
            f"tasks; got shape {rates.shape}."
        )
    if not ((rates > 0) & (rates < 1)).all():
        raise ValueError(
            f"positive_rate must lie between 0 and 1, both excluded; got "
            f"{rates.tolist()}."
        )
    return rates
