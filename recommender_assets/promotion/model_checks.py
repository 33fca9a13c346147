"""Facts about the newest model of each algorithm."""

import inspect
import math
from collections.abc import Callable
from functools import partial

from recommender_assets.fact import Check, Outcome
from recommender_assets.promotion.candidates import ALGORITHMS, NoCandidateError, candidate_directory, newest_candidate
from recommender_assets.promotion.serving_figures import serving_figures
from recommender_assets.promotion.soundness import factor_problems
from recommender_assets.promotion.standing import FOLD_IN_ERROR
from recommender_assets.promotion.training_record import load_training_record
from recommender_assets.settings import Settings
from recommender_serving.engine.factor_model import read_model


def factors_are_finite(algorithm: str, settings: Settings) -> Outcome:
    """The newest model reads back with every checksum right, every number finite and neither head all zeros."""
    try:
        directory = candidate_directory(settings.root, newest_candidate(settings.root, algorithm))
    except NoCandidateError as missing:
        return Outcome(False, str(missing))
    problems = factor_problems(directory)
    return Outcome(not problems, "; ".join(problems), {"version": directory.name})


def fold_in_parity_holds(algorithm: str, settings: Settings) -> Outcome:
    """The service's solver gives users the vectors they were trained to have, up to `promotion.limits.fold_in_error`.

    Not blocking: the promotion policy refuses such a model, and the refusal is written down.
    """
    try:
        version = newest_candidate(settings.root, algorithm)
    except NoCandidateError as missing:
        return Outcome(False, str(missing))
    error = serving_figures(read_model(candidate_directory(settings.root, version))).get(FOLD_IN_ERROR, 0.0)
    limit = settings.promotion.limits.get(FOLD_IN_ERROR, math.inf)
    reason = "" if error <= limit else f"{version}: vectors differ by {error:.2g}, {limit:g} is allowed"
    return Outcome(not reason, reason, {"version": version, FOLD_IN_ERROR: error})


def training_converged(algorithm: str, settings: Settings) -> Outcome:
    """Every loss ended below where it began, and changed by at most `checks.converged_step` in the last step."""
    record, most = load_training_record(settings.root, algorithm), settings.checks.converged_step
    steps = {name: abs(curve[-1] / curve[-2] - 1) for name, curve in record.curves.items() if len(curve) > 1}
    problems = [f"{name} still changed by {step:.2%} in the last step" for name, step in steps.items() if step > most]
    problems += [
        f"{name} rose from {curve[0]:g} to {curve[-1]:g}"
        for name, curve in record.curves.items()
        if curve[-1] > curve[0]
    ]
    return Outcome(
        not problems, "; ".join(problems), {"version": record.version, **{f"{n}_step": s for n, s in steps.items()}}
    )


def _of_each_algorithm(judge: Callable[[str, Settings], Outcome], *, blocking: bool) -> tuple[Check, ...]:
    name, description = judge.__name__, inspect.getdoc(judge) or ""
    return tuple(Check(f"{a}_model", name, blocking, description, partial(judge, a)) for a in ALGORITHMS)


MODEL_CHECKS = (
    *_of_each_algorithm(factors_are_finite, blocking=True),
    *_of_each_algorithm(fold_in_parity_holds, blocking=False),
    *_of_each_algorithm(training_converged, blocking=False),
)
