"""Small, nasty data: ties, signed zeros, denormals, missing labels, rare classes."""

import numpy as np
from hypothesis import strategies as st

TINY32 = float(np.finfo(np.float32).smallest_subnormal)
NASTY = [0.0, -0.0, TINY32, -TINY32, 5e-324, -5e-324, 1e-300, -1e300, 1e300, 0.5]
NASTY += [np.nextafter(0.5, 1), 1.0, -1.0, -2.5, 3.0, np.nextafter(1, 2), 1e-7]


@st.composite
def scores(draw, n):
    """n scores, float32 or float64, from few distinct values or many."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    kind = draw(st.sampled_from(["nasty", "constant", "few", "many"]))
    if kind == "nasty":
        pool = [v for v in NASTY if dtype is np.float64 or abs(v) < 1e38]
        return np.array(
            draw(st.lists(st.sampled_from(pool), min_size=n, max_size=n))
        ).astype(dtype)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "constant":
        return np.full(n, rng.normal(), dtype=dtype)
    if kind == "few":
        return rng.integers(-2, 3, n).astype(dtype) / 3
    return rng.normal(size=n).astype(dtype)


def labels(n, missing=True):
    values = [0.0, 1.0, np.nan] if missing else [0.0, 1.0]
    return st.lists(st.sampled_from(values), min_size=n, max_size=n).map(np.array)


def weights(n):
    return st.one_of(
        st.none(),
        st.lists(
            st.sampled_from([0.25, 1.0, 3.0, 0.1, 7.7]), min_size=n, max_size=n
        ).map(np.array),
    )


def group_ids(n):
    ids = st.sampled_from([3, -7, 10**12, 0, 2**40])
    names = st.sampled_from(["ann", "bob", "", "Ünal", "eve"])
    return st.one_of(
        st.lists(ids, min_size=n, max_size=n).map(np.array),
        st.lists(names, min_size=n, max_size=n).map(
            lambda x: np.array(x, dtype=object)
        ),
    )
