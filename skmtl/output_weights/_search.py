"""Search for output weights, on probabilities that are predicted once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from numbers import Integral, Real
from time import perf_counter
from typing import ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.validation import check_is_fitted

from skmtl._containers import is_source, same_rows
from skmtl._messages import shown
from skmtl._sklearn import (
    CallbackContext,
    CallbackSupportMixin,
    Interval,
    RealNotInt,
    StrOptions,
    _fit_context,
    _routing_enabled,
    rows_of,
    with_callbacks,
)
from skmtl._splits import check_splits
from skmtl._typing import RandomStateLike, Splitter, WeightsLike
from skmtl.metrics._gains import Numbers, Term
from skmtl.metrics._pareto import pareto_front
from skmtl.metrics._predictions import (
    check_same_tasks,
    kinds_to_read,
    task_names_of,
)
from skmtl.metrics._task_scorer import TaskScorer
from skmtl.metrics._validation import Labels, check_labels, check_length
from skmtl.output_weights._base import (
    BaseOutputWeights,
    check_has_probabilities,
    fit_router,
    read_labels,
    read_mixed,
)
from skmtl.output_weights._candidates import GridLike
from skmtl.output_weights._fixed import FixedOutputWeights
from skmtl.output_weights._fusion import transformed
from skmtl.output_weights._held_out import (
    FoldFits,
    HeldOut,
    Progress,
    check_fits_folds,
    check_used,
    find_splitter,
    fit_in,
    labels_to_split,
    predict_prefit,
    without_routing,
)
from skmtl.output_weights._objective import (
    Fold,
    GivenRows,
    fold_mean,
    rows_of_labels,
    scales_of_terms,
)
from skmtl.output_weights._results import (
    as_params,
    intervals_table,
    resampled,
    results_table,
)
from skmtl.output_weights._scoring import EstimatorScorer, find_scorers
from skmtl.output_weights._solver import (
    Evaluated,
    WeightSearch,
    mean_scores,
    scorers_of_constraints,
)
from skmtl.output_weights._terms import (
    TaskColumns,
    Terms,
    check_log_odds,
)
from skmtl.sources.opening import named_columns
from skmtl.tasks import task_names


class RoutedMetadata(NamedTuple):
    """What goes to the inner estimator's fit, to the splitter, and to each metric."""

    fit: dict[str, object]
    split: dict[str, object]
    score: Mapping[str, Mapping[str, object]]


class _Judging(NamedTuple):
    """Rows and labels that judge, and what the weights multiply."""

    X: object
    y: object
    labels: Labels
    numbers: Numbers | None
    columns: TaskColumns
    terms: Terms


class OutputWeightSearchCV(CallbackSupportMixin, BaseOutputWeights):
    """Search for the output weights that rank best, without refitting per candidate.

    The inner estimator is fitted once for each fold. Its probabilities for the held-out
    rows are kept, and the fused score of every candidate is evaluated on them.

    Parameters
    ----------
    estimator : estimator with ``predict_proba``, or a ranker with other tasks
        A multioutput classifier, see :class:`FixedOutputWeights`.
    weights : int, mapping or array-like of shape (n_points, n_terms), default=11
        The candidates: a number of points for each term, evenly spaced on [0, 1] (11
        gives steps of 0.1); values for each term, by name; or the points themselves.
        The all-zero point is left out. Points that differ only in scale rank alike and
        are evaluated once, at the first of them. See the notes for terms that are not
        all probabilities.
    terms : list of str and tuple of str, default=None
        What the weights multiply: tasks, and tuples of tasks whose predictions are
        multiplied, such as ``["click", ("order", "revenue")]`` for a click and the
        expected revenue of an impression. None: each task, or the keys of `weights` if
        some of them are tuples.
    scoring : str, callable, list or dict, default=None
        Metric of the fused score, greater is better. None is ``"auc"``, the mean over
        tasks of the AUC of the fused score; with tasks that are not binary it is
        ``"pair_accuracy"``, which for binary tasks is the AUC. One of

        - a name of :func:`skmtl.metrics.get_task_scorer` that ranks, such as
          ``"auc:order"``, ``"gauc:order"`` or ``"ndcg@10"``, or its scorer; for tasks
          with numbers ``"spearman:revenue"`` or ``"pair_accuracy"``, and rank metrics
          with gains, such as ``get_task_scorer("precision@10", gains={("order",
          "revenue"): 1})``, the revenue of each of the first ten places;
        - a name or scorer of scikit-learn that judges ``decision_function``, such as
          ``"roc_auc"`` or ``get_scorer("average_precision")``: the mean over the
          binary tasks; other tasks are not judged;
        - a function ``metric(y, score)`` of the labels and scores of one task;
        - a function ``scorer(estimator, X, y)`` of the rows of a fold; `estimator`
          gives the fused score as ``decision_function(X)`` and the probabilities as
          ``predict_proba(X)`` of these rows; if not all tasks are binary, the expected
          labels as ``predict_task(X)`` instead.

        Several at once as a list of names or a dict; `refit` names the one that
        chooses.
    method : {"sum", "product", "rank", "logit"}, default="sum"
        How to fuse, see :func:`fuse`. "rank" ranks within the rows of each fold.
    search : {"grid", "halving", "refine", "continuous"}, default="grid"
        "grid" evaluates all candidates exactly. "halving" compares candidates on
        growing samples, drops those that are worse than the leader by five standard
        errors, and evaluates the others exactly; dropped candidates have NaN scores.
        "refine" evaluates a coarse grid of three points for each task, then points of
        ever finer grids near the best eight so far, up to those of `weights`, until
        all neighbours of the best eight are known; ``cv_results_`` holds the points
        that were evaluated. It serves for grids of four to eleven tasks, with any
        number of points per axis.
        "continuous" continues from the best candidates until no move helps, and adds
        the points that it reaches to ``cv_results_``. If the grid has more than 20,000
        points, it starts from the single tasks, pairs and equal weights instead.
    cv : int, float, splitter, iterable or "prefit", default=None
        None is five folds. With several tasks, or labels not observed, an int or None
        uses :class:`skmtl.model_selection.MultiTaskStratifiedKFold`. A float is the
        share of rows of one random hold-out. "prefit": the estimator is already fitted,
        and the candidates are evaluated on all rows, which must not be those that it
        was fitted on.
    refit : bool, str or callable, default=True
        Whether to fit the estimator on all rows at the end. A name chooses among
        several metrics. A function gets ``cv_results_`` and returns ``best_index_``; it
        needs the search "grid". False keeps the estimator of a single split; with
        several splits there is then no estimator to predict with. With "prefit" nothing
        is fitted.
    constraints : mapping, default=None
        ``{"auc:click": (">=", 0.99, "relative")}`` keeps the AUC of click at 99 % of
        what click alone reaches (for a metric of several tasks: of the best single
        task); ``(">=", 0.7)`` is absolute. The best is chosen among candidates that
        satisfy all constraints. Keys are names of metrics, or of those in `scoring`.
    error_score : "raise" or float, default="raise"
        What to do if the fit of a fold fails, which affects all candidates alike: raise
        the error, or warn and set the score of the fold to this value. NaN leaves the
        fold out of the means.
    n_jobs : int, default=None
        Number of processes that fit folds, and of threads that evaluate candidates.
        None means 1, -1 all cores.
    random_state : int, RandomState instance or None, default=None
        Controls the hold-out of a float `cv` and the samples of "halving".

    Attributes
    ----------
    best_weights_ : ndarray of shape (n_terms,)
        The output weights, of predictions in their own units.
    best_params_ : dict
        The same by term, as :class:`FixedOutputWeights` and :func:`fuse` take them:
        ``weights=search.best_params_``.
    best_shares_ : dict
        The same times `scales_`, divided by their sum.
    terms_ : list of str and tuple of str
        The terms.
    scales_ : ndarray of shape (n_terms,)
        Standard deviations of the terms on the held-out rows, by which an evenly spaced
        grid is divided; ones if all terms are probabilities, or the method is not
        "sum".
    best_score_ : float
        Mean over the folds of the metric at the best weights; not there if `refit` is
        a function.
    best_estimator_ : FixedOutputWeights
        The fitted inner estimator with the best weights; not there if nothing was
        refitted.
    best_index_ : int
        Row of the best weights in ``cv_results_``; the first of equal ones.
    cv_results_ : dict of ndarray
        One row per candidate: ``param_<term>``, ``params``,
        ``split<k>_test_<metric>``, ``mean_test_<metric>``, ``std_test_<metric>`` and
        ``rank_test_<metric>``; the metric is "score" if there is only one. The means
        are over the folds in which a metric is defined. ``mean_fit_time``,
        ``std_fit_time``, ``mean_score_time`` and ``std_score_time``, in seconds, are
        those of the folds and the same in every row, since a fold is fitted and
        predicted once for all candidates. With "halving" also ``n_rounds``, the races
        that a candidate ran, and with "refine" ``iter``, the level, from 0, on which
        it was evaluated. With constraints ``feasible`` too.
    n_evaluations_ : int
        Candidates that were evaluated exactly.
    n_candidates_ : list of int
        Candidates that were evaluated on each level of "refine"; not there with another
        search.
    n_skipped_ : int
        Points of the grid that "refine" did not evaluate, also those that differ from
        an evaluated one in scale only; not there with another search.
    pareto_weights_ : ndarray of shape (n_points, n_terms)
        Candidates that no other dominates: none is as good in all metrics and better in
        one. Of candidates that differ only in scale, the first.
    pareto_scores_ : ndarray of shape (n_points, n_metrics)
        Their scores, in decreasing order of the first metric.
    scorer_ : scorer or dict of scorers
        The metrics.
    multimetric_ : bool
        Whether there are several metrics.
    refit_time_ : float
        Seconds of the fit on all rows; not there if nothing was refitted.
    n_splits_ : int
        Number of folds.
    estimator_ : estimator
        The fitted inner estimator.
    task_names_ : ndarray of shape (n_tasks,)
        Names of the tasks.
    classes_ : ndarray or list of ndarray
        Classes of the inner estimator.
    n_features_in_ : int
        Number of features, if the inner estimator has it.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of features, if the inner estimator has them.

    See Also
    --------
    FixedOutputWeights : Rank by given weights.
    fuse : The fused score itself.

    Notes
    -----
    With one task all weights give the same ranking, and the first candidate is the
    best. With constant probabilities every candidate scores like a random order.

    If some terms are not probabilities, such as a revenue, they have different units,
    and an even grid would hardly vary the weight of a small one. So with the method
    "sum" the points of an even grid are divided by the standard deviations of the terms
    on the held-out rows: a weight is the term's share in the spread of the score. The
    results hold the weights after this division. Weights given as values or points are
    used as they are, in the units of the predictions. "rank" and "product" do not
    depend on units.

    A multiclass task has no expected value. Leave it out of `terms`, or name
    probabilities of its classes there, such as ``"reason_price"``.

    ``fit(X, y, groups=...)`` passes groups to the splitter and to the metrics of
    `scoring` and `constraints` that take them. With metadata routing enabled, a scorer
    must request them: ``get_task_scorer("gauc").set_score_request(groups=True)``.
    Metrics that only `constraints` name request them.

    The score of the best candidate is the largest of many on the same rows, so it is
    slightly optimistic. Evaluate the final choice on other rows.

    References
    ----------
    .. [1] L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh and A. Talwalkar. Hyperband.
           JMLR 18(185), 2018, section 3 (races on growing samples).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.multioutput import MultiOutputClassifier
    >>> from skmtl.output_weights import OutputWeightSearchCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(600, 3))
    >>> y = (X[:, :2] + rng.normal(size=(600, 2)) > [0, 1.5]).astype(int)
    >>> model = MultiOutputClassifier(LogisticRegression())
    >>> search = OutputWeightSearchCV(model, scoring="auc:1").fit(X, y)
    >>> search.best_params_
    {'0': 0.0, '1': 0.1}
    """

    _parameter_constraints: ClassVar[dict[str, object]] = {
        **BaseOutputWeights._parameter_constraints,
        "weights": [Integral, Mapping, "array-like"],
        "terms": [list, tuple, None],
        "scoring": [str, callable, list, tuple, set, Mapping, None],
        "search": [StrOptions({"grid", "halving", "refine", "continuous"})],
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean", str, callable],
        "error_score": [StrOptions({"raise"}), Real],
        "constraints": [Mapping, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        weights: GridLike = 11,
        terms: Sequence[Term] | None = None,
        scoring: object = None,
        method: str = "sum",
        search: str = "grid",
        cv: object = None,
        refit: bool | str | Callable[[dict[str, np.ndarray]], int] = True,
        constraints: Mapping[str, object] | None = None,
        error_score: float | str = "raise",
        n_jobs: int | None = None,
        random_state: RandomStateLike = None,
    ) -> None:
        self.estimator = estimator
        self.weights = weights
        self.terms = terms
        self.scoring = scoring
        self.method = method
        self.search = search
        self.cv = cv
        self.refit = refit
        self.constraints = constraints
        self.error_score = error_score
        self.n_jobs = n_jobs
        self.random_state = random_state

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: object, y: object, **params: object) -> Self:
        """Fit the folds, search the weights, fit on all rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The table. With ``cv="prefit"`` it may be a source, such as a path of
            Parquet files, which is read block by block; `y` and `params` then name
            columns. Only these columns and the probabilities are held in memory.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Labels: 1, 0, or NaN where the inner estimator accepts it; or of the kinds
            of tasks of a ranker.
        **params : dict
            `groups` for the splitter, the metrics and an inner estimator whose ``fit``
            takes them; all others go to that ``fit``. With metadata routing each goes
            where it was requested.

        Returns
        -------
        self : OutputWeightSearchCV
            The fitted search.

        Raises
        ------
        ValueError
            If labels, terms, weights, metrics or constraints cannot be used, a term has
            no expected value, or no candidate satisfies the constraints; the message
            says how close the nearest one gets.
        """
        refits = not (isinstance(self.cv, str) and self.cv == "prefit")
        check_fits_folds(self.cv, error_score=(self.error_score, "raise"))
        if is_source(X):
            y, params = self._of_source(X, y, params)
        else:
            X, y = same_rows(X, y)
        kinds = kinds_to_read(self.estimator, task_names(y), refits=refits)
        mixed, numbers = kinds is not None, None
        if kinds is None:
            check_has_probabilities(self.estimator, self, refits=refits)
            labels, _ = read_labels(y)
        else:
            numbers = read_mixed(self.estimator, y, kinds, refits=refits)
            labels = numbers.binary
        scorers = find_scorers(self.scoring, mixed=mixed)
        chosen = self._chosen_metric(list(scorers))
        splitter = find_splitter(self.cv, y, labels, self.random_state, mixed=mixed)
        prefit_names = task_names_of(self.estimator) if splitter is None else None
        if prefit_names is not None and not (labels.one_dimensional or mixed):
            if prefit_names != [str(t) for t in range(len(prefit_names))]:
                check_same_tasks(y, prefit_names)
            labels = check_labels(y, prefit_names)
        columns = TaskColumns(labels.names, None)
        if numbers is not None:
            columns = TaskColumns(numbers.names, numbers.kinds)
        terms = self._read_terms(columns)
        if numbers is not None and self.method == "logit":
            check_log_odds(terms, numbers)
        search = WeightSearch(self, terms.names, scorers, chosen, columns)
        routed = self._routed(params, search.metrics, len(labels))
        held = _Judging(X, y, labels, numbers, columns, terms)
        context = self._init_callback_context(max_subtasks=None)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        held_out = self._predict_held_out(splitter, held, routed, context)
        folds = self._folds(held_out, held, scorers, routed)
        scales = scales_of_terms(folds, columns, terms, self.method)
        evaluated = search.solve(folds, Progress(self, context), scales)
        results = self._results(evaluated, held_out, terms.keys, list(scorers))
        best = self._best_index(evaluated, results)
        start = perf_counter()
        fitted = self._final(splitter, held_out, X, y, routed, context)
        refit_time = perf_counter() - start
        self._set_inner(fitted, task_names_of(fitted) or columns.tasks)
        self.terms_, self.scales_ = terms.keys, scales
        self._set_results(evaluated, results, best, folds, scorers, chosen)
        self.n_splits_ = len(held_out)
        if splitter is not None and self.refit:
            self.refit_time_ = refit_time
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    def _of_source(
        self, X: object, y: object, params: dict[str, object]
    ) -> tuple[object, dict[str, object]]:
        """Read labels, groups and weights of a source; other columns stay on disk."""
        if self.cv != "prefit":
            raise ValueError(
                f"cv={self.cv!r} needs the rows in memory, but X is read block by "
                "block. Set cv='prefit', with an estimator fitted on other rows."
            )
        scorers = find_scorers(self.scoring, mixed=True).values()
        if any(isinstance(one, EstimatorScorer) for one in scorers):
            raise ValueError(
                "scoring is a function of the rows, but X is read block by block. Pass "
                "the name of a metric, or a function metric(y, score)."
            )
        named = {k: named_columns(X, value, k) for k, value in params.items()}
        return named_columns(X, y, "y"), named

    def _read_terms(self, columns: TaskColumns) -> Terms:
        """Return the terms: those given, those that weights name, or all tasks."""
        given: object = self.terms
        if given is None:
            if isinstance(self.weights, Mapping) and (
                columns.kinds is not None
                or any(isinstance(key, tuple) for key in self.weights)
            ):
                given = list(self.weights)
            else:
                given = columns.default_terms()
        if isinstance(given, str) or not np.iterable(given) or not len(list(given)):
            raise ValueError(
                "terms must list tasks, and tuples of tasks that are multiplied, such "
                f"as ['click', ('order', 'revenue')]; got {shown(given)}."
            )
        return columns.read_terms(given, "terms")

    def _chosen_metric(self, metrics: list[str]) -> str | None:
        if callable(self.refit):
            if self.search != "grid":
                raise ValueError(
                    f"search={self.search!r} follows one metric, so refit must name "
                    "it. A function as refit needs search='grid'."
                )
            return None
        if isinstance(self.refit, str):
            if self.refit not in metrics:
                raise ValueError(
                    f"refit={shown(self.refit)} is not one of the metrics {metrics}."
                )
            return self.refit
        if len(metrics) > 1:
            raise ValueError(
                f"scoring has several metrics {metrics}: refit must name the one that "
                "chooses the weights, or be a function of cv_results_."
            )
        return metrics[0]

    def _routed(
        self, params: dict[str, object], metrics: Mapping[str, TaskScorer], n: int
    ) -> RoutedMetadata:
        """Distribute metadata to the inner estimator, the splitter and each metric."""
        for name in ("groups", "sample_weight"):
            if params.get(name) is not None:
                check_length(params[name], n, name)
        if _routing_enabled():
            routed = process_routing(self, "fit", **params)
            score = {name: routed[f"scorer_{name}"].score for name in metrics}
            params = routed.estimator.fit
            splitter = getattr(routed, "splitter", None)
            split = {} if splitter is None else splitter.split
        else:
            params, split = without_routing(self.estimator, params)
            # The default metric judges all rows together, with or without groups.
            default = () if self.scoring is not None else ("score",)
            score = {
                name: split
                if "groups" in scorer.metric.metadata and name not in default
                else {}
                for name, scorer in metrics.items()
            }
        # Raises before the folds are fitted if a metric lacks its groups.
        for name, scorer in metrics.items():
            scorer._metadata(score[name].get("groups"), None)
        return RoutedMetadata(params, split, score)

    def _predict_held_out(
        self,
        splitter: Splitter | None,
        held: _Judging,
        routed: RoutedMetadata,
        context: CallbackContext,
    ) -> list[HeldOut]:
        X, y, columns = held.X, held.y, held.columns
        if splitter is None:
            check_used(routed.fit, ["groups"])
            return predict_prefit(self.estimator, X, columns, len(held.labels))
        labels = labels_to_split(splitter, y, held.numbers)
        found = splitter.split(X, labels, **routed.split)
        splits = check_splits(found, len(held.labels))
        contexts = [context.subcontext(task_name="fold") for _ in splits]
        fits = FoldFits(self.estimator, columns, routed.fit, self.error_score, self)
        return fits.run(X, y, splits, contexts, self.n_jobs)

    def _folds(
        self,
        held_out: list[HeldOut],
        held: _Judging,
        scorers: Mapping[str, TaskScorer],
        routed: RoutedMetadata,
    ) -> list[Fold]:
        """Collect the rows that judge, of the folds whose fit did not fail."""
        keeps_rows = any(isinstance(s, EstimatorScorer) for s in scorers.values())
        folds = []
        for part in held_out:
            if part.proba is None:
                continue
            metadata = {
                metric: {
                    name: np.asarray(value)[part.rows]
                    for name, value in given.items()
                    if value is not None
                }
                for metric, given in routed.score.items()
            }
            given_rows = None
            if keeps_rows:
                rows = rows_of(held.X, part.rows), rows_of(held.y, part.rows)
                classes = None if held.numbers else part.estimator.classes_
                given_rows = GivenRows(*rows, part.proba, classes, held.columns)
            table = held.terms.of(part.proba)
            columns = transformed(table, self.method, held.terms.names)
            of_rows = rows_of_labels(held.labels, part.rows)
            numbers = held.numbers and held.numbers.take(part.rows)
            folds.append(Fold(columns, of_rows, metadata, given_rows, numbers))
        return folds

    def _final(
        self,
        splitter: Splitter | None,
        held_out: list[HeldOut],
        X: object,
        y: object,
        routed: RoutedMetadata,
        context: CallbackContext,
    ) -> BaseEstimator | None:
        """Return the estimator that predicts; None for several folds with no refit."""
        if splitter is None or (not self.refit and len(held_out) == 1):
            return held_out[0].estimator
        if not self.refit:
            return None
        sub = context.subcontext(task_name="refit")
        return fit_in(sub, self, clone(self.estimator), X, y, routed.fit)

    def _results(
        self,
        evaluated: Evaluated,
        held_out: list[HeldOut],
        terms: list[Term],
        metrics: list[str],
    ) -> dict[str, np.ndarray]:
        """Make `cv_results_`; a fold whose fit failed has the error score."""
        failed = np.array([part.proba is None for part in held_out])
        n, _, n_metrics = evaluated.scores.shape
        value = np.nan if self.error_score == "raise" else self.error_score
        scores = np.full((n, len(held_out), n_metrics), value, dtype=np.float64)
        scores[:, ~failed] = evaluated.scores
        times = {
            "fit_time": np.array([part.fit_time for part in held_out]),
            "score_time": np.array(
                [part.score_time + evaluated.seconds for part in held_out]
            ),
        }
        table = results_table(evaluated.points, terms, scores, metrics, times)
        return table | evaluated.columns

    def _best_index(self, evaluated: Evaluated, results: dict[str, np.ndarray]) -> int:
        if evaluated.best is not None:
            return evaluated.best
        assert callable(self.refit)
        best: object = self.refit(results)
        n = len(evaluated.points)
        if not isinstance(best, Integral) or isinstance(best, bool):
            raise TypeError(
                "refit must return the index of a candidate, an integer; got "
                f"{shown(best)}."
            )
        best = int(best)
        if not 0 <= best < n:
            raise IndexError(
                f"refit returned the index {best}, but there are {n} candidates."
            )
        return best

    def _set_results(
        self,
        evaluated: Evaluated,
        results: dict[str, np.ndarray],
        best: int,
        folds: list[Fold],
        scorers: Mapping[str, TaskScorer],
        chosen: str | None,
    ) -> None:
        self.cv_results_ = results
        self.best_index_ = best
        self.best_weights_ = evaluated.points[best].copy()
        self.best_params_ = as_params(self.best_weights_, self.terms_)
        shares = self.best_weights_ * self.scales_
        self.best_shares_ = as_params(shares / shares.sum(), self.terms_)
        of_some = ("best_score_", "refit_time_", "n_candidates_", "n_skipped_")
        for stale in of_some:  # of an earlier fit
            self.__dict__.pop(stale, None)
        self.__dict__.update(evaluated.attributes)
        if chosen is not None:
            self.best_score_ = float(results[f"mean_test_{chosen}"][best])
        self.n_evaluations_ = evaluated.n_evaluations
        self.multimetric_ = len(scorers) > 1
        self.scorer_ = scorers if self.multimetric_ else next(iter(scorers.values()))
        means = fold_mean(evaluated.scores[evaluated.unique])
        front = pareto_front(means)
        self.pareto_weights_ = evaluated.points[evaluated.unique[front]]
        self.pareto_scores_ = means[front]
        bounding = chosen if chosen is not None else next(iter(scorers))
        # Kept for `bootstrap_intervals`.
        self._folds_, self._chosen_ = folds, {bounding: scorers[bounding]}

    @property
    def best_estimator_(self) -> FixedOutputWeights:
        """The fitted inner estimator with the best weights."""
        if not (hasattr(self, "best_weights_") and hasattr(self, "estimator_")):
            raise AttributeError(
                "There is no best estimator: the search is not fitted, or it did not "
                "refit. Fit it with refit=True."
            )
        return FixedOutputWeights(
            self.estimator_, weights=self._best(), method=self.method
        )

    def _best(self) -> WeightsLike:
        """The best weights, by term unless there is one for each task."""
        terms = getattr(self, "terms_", None)  # not in files of earlier versions
        if terms is None or list(terms) == list(self.task_names_):
            return self.best_weights_
        by_term: dict[Hashable, object] = dict(
            zip(terms, self.best_weights_.tolist(), strict=True)
        )
        return by_term

    def _inner(self) -> BaseEstimator:
        if hasattr(self, "best_weights_") and not hasattr(self, "estimator_"):
            raise NotFittedError(
                "With refit=False and several folds no estimator is kept, so nothing "
                "can be predicted. best_weights_ and cv_results_ are available; fit "
                "with refit=True to predict."
            )
        return super()._inner()

    def _output_weights(self, columns: TaskColumns) -> object:
        check_is_fitted(self, "best_weights_")
        return self._best()

    def bootstrap_intervals(
        self,
        n_resamples: int = 200,
        *,
        level: float = 0.95,
        random_state: RandomStateLike = None,
    ) -> pd.DataFrame:
        """Compute intervals of the best score and of its margin over simple weights.

        The held-out rows are drawn with replacement within each fold. The best weights,
        each single task and equal weights are evaluated on the same draw, so the noise
        that they share cancels in the margins. For a metric with groups, groups are
        drawn. The weights are not searched again, although they were chosen on these
        rows. So the intervals cover the randomness of the rows but not overfitting by
        the search, and the margins are slightly optimistic.

        Parameters
        ----------
        n_resamples : int, default=200
            Number of draws.
        level : float, default=0.95
            Confidence level of the percentile intervals.
        random_state : int, RandomState instance or None, default=None
            Controls the draws.

        Returns
        -------
        DataFrame
            Columns "value", "low", "high"; rows "best", "best - best single task",
            "best - equal weights" (of terms divided by their scales), and "best -
            <term>" for each term.

        Raises
        ------
        ValueError
            If `n_resamples` is not positive or `level` not between 0 and 1.
        """
        check_is_fitted(self, "best_weights_")
        if not (
            isinstance(n_resamples, Integral) and n_resamples > 0 and 0 < level < 1
        ):
            raise ValueError(
                "n_resamples must be a positive whole number and level between 0 and "
                f"1; got {shown(n_resamples)} and {shown(level)}."
            )
        seed = check_random_state(random_state).randint(2**31 - 1)
        n = len(self.best_weights_)
        terms = getattr(self, "terms_", self.task_names_)  # files of earlier versions
        even = 1 / getattr(self, "scales_", np.ones(n))
        contenders = np.concatenate([self.best_weights_[None], even[None], np.eye(n)])
        value = mean_scores(self._folds_, self._chosen_, contenders)
        rng = np.random.default_rng(seed)
        drawn = resampled(self._folds_, contenders, self._chosen_, n_resamples, rng)
        return intervals_table(value, drawn, terms, level)

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of metadata to estimator, splitter and metrics.

        Returns
        -------
        MetadataRouter
            The routing.
        """
        # The kinds of tasks are not known yet. The default metric takes no groups.
        scorers = find_scorers(self.scoring, mixed=bool(self.scoring))
        score = MethodMapping().add(caller="fit", callee="score")
        scorers |= scorers_of_constraints(self.constraints, scorers)
        named = {f"scorer_{name}": scorer for name, scorer in scorers.items()}
        return fit_router(self).add(**named, method_mapping=score)
