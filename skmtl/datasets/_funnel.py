"""An e-commerce log in which a cart needs a click and an order a cart."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skmtl.datasets._checks import (
    RandomState,
    check_generator,
    check_int,
    check_real,
)
from skmtl.datasets._funnel_labels import (
    draw_labels,
    draw_scores,
    histories,
    sorted_pages,
    true_probabilities,
)
from skmtl.datasets._funnel_log import Log, Sizes, draw_log
from skmtl.datasets._tables import describe

TASKS = ("click", "cart", "order")


def make_funnel(
    n_samples: int = 100_000,
    *,
    n_users: int = 10_000,
    n_items: int = 5_000,
    n_categories: int = 50,
    tasks: Sequence[str] = TASKS,
    click_rate: float = 0.1,
    cart_rate: float = 0.015,
    order_rate: float = 0.001,
    page_size: int = 10,
    n_days: int = 7,
    zipf_exponent: float = 1.0,
    signal: float = 1.0,
    drift: float = 0.0,
    new_item_share: float = 0.0,
    n_new_days: int = 1,
    history_length: int = 0,
    position_bias: float | None = None,
    page_order: float = 0.0,
    page_relevance: float = 0.0,
    return_X_y: bool = False,
    random_state: RandomState = None,
) -> Any:
    """Generate an e-commerce log with clicks, carts, orders and their probabilities.

    A session is one page of items shown to one user. An order needs a cart and a cart
    needs a click, each with a probability that depends on the user, the item, how well
    the two match, and the context. These probabilities are returned, so that a model
    can be compared with the truth.

    Parameters
    ----------
    n_samples : int, default=100_000
        Number of rows; a row is one impression.
    n_users, n_items, n_categories : int, default=10_000, 5_000, 50
        Numbers of ids. Some ids may not occur.
    tasks : sequence of str, default=("click", "cart", "order")
        The columns of ``target``, in this order: some or all of the three.
    click_rate, cart_rate, order_rate : float, default=0.1, 0.015, 0.001
        The mean of the true probability of each task over the rows, with
        ``0 < order_rate < cart_rate < click_rate < 1``.
    page_size : int, default=10
        Impressions in a session; the last session may be shorter.
    n_days : int, default=7
        Days of the log.
    zipf_exponent : float, default=1.0
        The k-th most popular user, or item, is drawn with a probability proportional
        to ``k ** -zipf_exponent``; 0 is uniform.
    signal : float, default=1.0
        Factor of all effects. 0 makes the probabilities constant.
    drift : float, default=0.0
        How much the logit of every stage rises, linearly, from the start of the log to
        its end; below 0 it falls. The rates are still the means over the whole log, so
        a model of the first days predicts too few labels for the last.
    new_item_share : float, default=0.0
        Share of the items that appear only in the last ``n_new_days`` days.
    n_new_days : int, default=1
        Days in which new items appear, less than ``n_days``. Has no effect without new
        items.
    history_length : int, default=0
        If positive, ``data`` has a column ``history``: the items that the user clicked
        last before the session, at most this many, the latest at the end.
    position_bias : float or None, default=None
        If given, the position acts on clicks through examination alone: a user
        examines position k with probability ``k ** -position_bias``, and clicks only
        what they have examined. If None, it is one of the effects on the click.
    page_order : float, default=0.0
        How strongly pages are sorted by a preference for some items, such as those
        that are promoted, which has nothing to do with relevance; 0 for pages in random
        order. It needs `position_bias`.
    page_relevance : float, default=0.0
        How strongly pages are sorted by the true score for a click, as by a good
        earlier ranker. It needs `position_bias`.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    random_state : int, Generator, RandomState or None, default=None
        Controls all random numbers. An int gives the same data each time.

    Returns
    -------
    sklearn.utils.Bunch or tuple
        A dictionary with attributes, or ``(data, target)``. Rows are ordered by time.

        data : DataFrame of shape (n_samples, 8), or 9 with ``history``
            ``user_id``, ``item_id``, ``category_id`` (category of int64), ``device``
            (category of str), ``position`` (int64, from 1), ``price`` and ``discount``
            (float64), ``hour`` (int64, 0 to 23).
        target : DataFrame of shape (n_samples, n_tasks), int64
            The labels 0 and 1.
        true_proba : DataFrame of shape (n_samples, n_tasks), float64
            The probability that the label is 1, given everything; for a cart that is
            P(click) P(cart | click).
        frame : DataFrame of shape (n_samples, n_columns)
            ``session``, ``timestamp``, ``data`` and ``target`` side by side.
        session : Series of shape (n_samples,), int64
            Number of the session, from 0, in the order of time.
        timestamp : Series of shape (n_samples,), datetime64[s]
            Start of the session; the log starts on 2024-01-01.
        examination : Series of shape (n_samples,), float64
            The probability that the row was examined; only with `position_bias`.
        relevance : DataFrame of shape (n_samples, n_tasks), float64
            The probability that the label is 1 of a row that is examined, which is the
            truth to rank by; only with `position_bias`.
        new_items : ndarray of shape (n_new_items,), int64
            Ids of the items that appear only in the last days.
        feature_names, target_names : list of str
            The columns of ``data`` and ``target``.
        DESCR : str
            The description of the log.

    Raises
    ------
    ValueError
        If a parameter is out of its range, the rates do not fall from click to order,
        each by at least a millionth, a task is unknown, or more clicks are wanted than
        rows are examined.
    TypeError
        If a parameter has the wrong type.

    Notes
    -----
    Each stage has the logit

    .. math::

        b + d t + s (u_i + v_j + p_i^T q_j + f(\\text{position, price, discount, hour,
        device})),

    with the drift `d` over the log's time `t` from 0 to 1, effects of the user and the
    item, factors of both, and non-linear functions of the context. The effects of the
    stages are partly common to all three and partly their own. Half of the variance of
    an item's effect and factors comes from its category, so the category is
    informative about new items. The intercept `b` of each stage is solved for, so that
    the mean of the true probability is the requested rate.

    With `position_bias` the position is not one of these effects, and P(click) is
    P(examined) P(click | examined), the examination hypothesis, with the power of the
    position of [1]_ (section 6). Items take the places of a page in the order of
    `page_order` times a standard normal preference for the item, plus `page_relevance`
    times the score, plus Gumbel noise.

    References
    ----------
    .. [1] T. Joachims, A. Swaminathan and T. Schnabel, "Unbiased Learning-to-Rank with
       Biased Feedback", WSDM 2017.

    Examples
    --------
    >>> from skmtl.datasets import make_funnel
    >>> log = make_funnel(20_000, random_state=0)
    >>> log.data.shape
    (20000, 8)
    >>> log.true_proba.mean().round(6).to_dict()
    {'click': 0.1, 'cart': 0.015, 'order': 0.001}
    >>> int((log.target["order"] > log.target["cart"]).sum())
    0
    """
    rates = _check_rates(click_rate, cart_rate, order_rate)
    columns = _check_tasks(tasks)
    signal = check_real("signal", signal, low=0.0)
    drift = check_real("drift", drift, low=-np.inf, closed="neither")
    history_length = check_int("history_length", history_length, low=0)
    position_bias, page_order, page_relevance = _check_pages(
        position_bias, page_order, page_relevance
    )
    n_items = check_int("n_items", n_items, low=1)
    sizes = Sizes(
        n_samples=check_int("n_samples", n_samples, low=1),
        n_users=check_int("n_users", n_users, low=1),
        n_items=n_items,
        n_categories=check_int("n_categories", n_categories, low=1),
        page_size=check_int("page_size", page_size, low=1),
        n_days=check_int("n_days", n_days, low=1),
        zipf_exponent=check_real("zipf_exponent", zipf_exponent, low=0.0),
        n_new_items=_count_new_items(new_item_share, n_items),
        n_new_days=check_int("n_new_days", n_new_days, low=1),
    )
    _check_new_days(sizes)
    generator = check_generator(random_state)

    log = draw_log(sizes, generator)
    scores = draw_scores(
        log, signal, drift, generator, biased=position_bias is not None
    )
    # Draws only if needed, so that a seed gives the same log as without this option.
    if page_order or page_relevance:
        log, scores = sorted_pages(log, scores, page_order, page_relevance, generator)
    examination = np.ones(n_samples)
    if position_bias is not None:
        examination = log.position**-position_bias
        _check_examined(examination.mean(), rates[0])
    proba, relevance = true_probabilities(scores, rates, examination)
    # All three, whatever `tasks` names: an order is drawn from a cart, and a history
    # from clicks.
    stages = draw_labels(proba, generator)
    data = log.data()
    if history_length:
        data["history"] = histories(log, stages[:, 0] == 1, history_length)
    target = pd.DataFrame(stages, columns=list(TASKS))[columns]
    if return_X_y:
        return data, target
    truth: dict[str, pd.DataFrame | pd.Series] = {
        "true_proba": pd.DataFrame(proba, columns=list(TASKS))[columns]
    }
    if position_bias is not None:
        truth["examination"] = pd.Series(examination, name="examination")
        truth["relevance"] = pd.DataFrame(relevance, columns=list(TASKS))[columns]
    return _bunch(log, data, target, truth)


def _bunch(
    log: Log,
    data: pd.DataFrame,
    target: pd.DataFrame,
    truth: dict[str, pd.DataFrame | pd.Series],
) -> Bunch:
    session = pd.Series(log.session, name="session")
    timestamp = pd.Series(log.timestamp(), name="timestamp")
    return Bunch(
        data=data,
        target=target,
        frame=pd.concat([session, timestamp, data, target], axis=1),
        session=session,
        timestamp=timestamp,
        new_items=log.new_items,
        feature_names=list(data.columns),
        target_names=list(target.columns),
        DESCR=describe("funnel"),
        **truth,
    )


def _check_pages(
    position_bias: float | None, page_order: float, page_relevance: float
) -> tuple[float | None, float, float]:
    page_order = check_real("page_order", page_order, low=0.0)
    page_relevance = check_real("page_relevance", page_relevance, low=0.0)
    if position_bias is not None:
        position_bias = check_real("position_bias", position_bias, low=0.0)
    elif page_order or page_relevance:
        raise ValueError(
            f"page_order={page_order} and page_relevance={page_relevance} need "
            "position_bias; 0 is for users who examine all rows."
        )
    return position_bias, page_order, page_relevance


def _check_new_days(sizes: Sizes) -> None:
    if sizes.n_new_items and sizes.n_new_days >= sizes.n_days:
        raise ValueError(
            "n_new_days must be less than n_days where items are new; got "
            f"n_new_days={sizes.n_new_days} and n_days={sizes.n_days}."
        )


def _check_rates(click: float, cart: float, order: float) -> list[float]:
    rates = {"click_rate": click, "cart_rate": cart, "order_rate": order}
    numbers = [
        check_real(name, rate, low=0.0, high=1.0, closed="neither")
        for name, rate in rates.items()
    ]
    for i in (1, 2):
        # For closer rates, the stage's intercept would be infinite up to rounding.
        if numbers[i] > numbers[i - 1] * (1 - 1e-6):
            above, name = list(rates)[i - 1 : i + 1]
            raise ValueError(
                f"{name} must be less than {above}, which it needs; got "
                f"{name}={numbers[i]} and {above}={numbers[i - 1]}."
            )
    return numbers


def _check_examined(examined: float, click_rate: float) -> None:
    # As the rates of two stages: clicks are drawn from examined rows.
    if not click_rate < examined * (1 - 1e-6):
        raise ValueError(
            f"click_rate={click_rate} must be less than {examined:.4g}, the share of "
            "the rows that are examined. Lower it, or position_bias."
        )


def _check_tasks(tasks: Sequence[str]) -> list[str]:
    columns = [tasks] if isinstance(tasks, str) else list(tasks)
    unknown = [task for task in columns if task not in TASKS]
    if unknown or not columns or len(set(columns)) < len(columns):
        raise ValueError(
            f"tasks must be at least one of {list(TASKS)}, each named once; got "
            f"{columns}."
        )
    return columns


def _count_new_items(share: float, n_items: int) -> int:
    share = check_real("new_item_share", share, low=0.0, high=1.0, closed="left")
    # At least one item is available from the first day.
    return min(round(share * n_items), n_items - 1)
