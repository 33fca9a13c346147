"""Accuracy by protocol, next to floors and intervals: `python -m benchmarks.accuracy [--ratings FILE]`.

Runs every protocol of `evaluation/protocols.py` for both algorithms and several seeds; then the lists under a
popularity discount, users folded in, and items without a training row. Figures are means over the seeds; intervals
(95 %, over users) are those of the first seed. Temporal protocols have one split and are left out where the ratings
carry no time stamps. Prints a table per protocol and, as its last line, one JSON object:
protocol -> algorithm or `floors` or `intervals` -> metric -> value.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.cold_start_quality import cold_start_quality
from benchmarks.fold_in_quality import fold_in_quality
from benchmarks.variants import with_implicit_term
from recommender_assets.evaluation.bootstrap import interval
from recommender_assets.evaluation.floors import measure_floors
from recommender_assets.evaluation.measures.catalogue import CATALOGUE
from recommender_assets.evaluation.measures.measure import Measured
from recommender_assets.evaluation.model_scores import head_scores
from recommender_assets.evaluation.protocols import PROTOCOLS, Protocol
from recommender_assets.evaluation.scores import Scores
from recommender_assets.evaluation.split import Split
from recommender_assets.evaluation.splits import NoOrderInTimeError
from recommender_assets.features.matrix import UserItemMatrix
from recommender_assets.features.rating_sets import rating_matrix
from recommender_assets.settings import NmfSettings, SvdSettings, load_settings
from recommender_assets.training.heads import Heads, fit_heads
from recommender_assets.tuning.presets import PRESETS, preset_for
from recommender_serving.engine.ranking import popularity_discount

DISCOUNTS = (0.5, 0.7, 0.8, 0.9, 1.0)
EXTRAS = ("popularity_discount", "fold_in", "cold_start")


class Results:
    """Values by protocol, column (algorithm or floor) and metric, one per seed; intervals of the first seed."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        self.intervals: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))

    def add(self, protocol: str, column: str, measured: Measured, prefix: str = "") -> None:
        """Keep one seed's figures."""
        for metric, value in measured.values.items():
            self.values[protocol][column][prefix + metric].append(value)
        if column not in self.intervals[protocol] and not column.startswith("floor "):
            found = {name: interval(metric) for name, metric in measured.by_user.items()}
            ends = {name: [i.low, i.high] for name, i in found.items() if np.isfinite([i.low, i.high]).all()}
            self.intervals[protocol][column] = ends

    def print(self) -> None:
        """One table per protocol."""
        for protocol, columns in self.values.items():
            split = f" ({PROTOCOLS[protocol].split})" if protocol in PROTOCOLS else ""
            print(f"\n{protocol}{split}")
            for column, metrics in columns.items():
                for metric, values in metrics.items():
                    ends = self.intervals[protocol].get(column, {}).get(metric)
                    beside = f"  [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else ""
                    print(f"  {column:18} {metric:32} {np.mean(values):8.4f} ± {np.std(values):.4f}{beside}")

    def plain(self) -> dict[str, Any]:
        """Means over the seeds, floors apart."""
        plain: dict[str, Any] = {}
        for protocol, columns in self.values.items():
            means = {
                column: {metric: float(np.mean(v)) for metric, v in metrics.items() if np.isfinite(v).all()}
                for column, metrics in columns.items()
            }
            plain[protocol] = {column: values for column, values in means.items() if not column.startswith("floor ")}
            plain[protocol]["floors"] = {
                c.removeprefix("floor "): v for c, v in means.items() if c.startswith("floor ")
            }
            plain[protocol]["intervals"] = self.intervals[protocol]
        return plain


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ratings", type=Path, help="CSV (plain or compressed) or Parquet; default: dslabs MovieLens")
    parser.add_argument("--preset", choices=[*PRESETS, "config"], help="hyper-parameters; default: by the data's shape")
    parser.add_argument("--seeds", default="0,1,2", help="of the splits, comma-separated  [0,1,2]")
    parser.add_argument("--algorithms", default="svd,svd++,nmf", help="comma-separated  [svd,svd++,nmf]")
    parser.add_argument("--protocols", default=",".join([*PROTOCOLS, *EXTRAS]), help="comma-separated  [all]")
    parser.add_argument("--lowest-rating-weight", type=float, help="instead of events.weights.lowest_rating")
    arguments = parser.parse_args()
    wanted = arguments.protocols.split(",")
    if unknown := set(wanted) - {*PROTOCOLS, *EXTRAS}:
        parser.error(
            f"--protocols: {', '.join(sorted(unknown))} unknown, choose from {', '.join([*PROTOCOLS, *EXTRAS])}"
        )

    settings = load_settings()
    weights = settings.weights
    if arguments.lowest_rating_weight is not None:
        weights = msgspec.structs.replace(weights, lowest_rating=arguments.lowest_rating_weight)
    matrix = rating_matrix(arguments.ratings, weights)
    preset = arguments.preset or preset_for(matrix) or "config"
    models = PRESETS.get(preset, settings.models)
    n = len(matrix.observations.item)
    print(
        f"{matrix.n_users:,} users, {matrix.n_items:,} items, {n:,} observations, hyper-parameters: {preset}",
        flush=True,
    )

    results, seconds = Results(), {}
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    _measure_floors(matrix, wanted, seeds, results)
    hyper_parameters = {"svd": models.svd, "svd++": with_implicit_term(models.svd, preset), "nmf": models.nmf}
    for algorithm in arguments.algorithms.split(","):
        seconds[algorithm] = _measure_algorithm(
            algorithm, matrix, hyper_parameters[algorithm], wanted, seeds=seeds, results=results
        )
    results.print()
    facts = {"benchmark": "accuracy", "seeds": seeds, "observations": n, "preset": preset, "training_seconds": seconds}
    print(json.dumps(facts | results.plain()))


def _measure_floors(matrix: UserItemMatrix, wanted: list[str], seeds: list[int], results: Results) -> None:
    for protocol, _, split in _splits(matrix, wanted, seeds):
        for measure in protocol.measures:
            for floor, found in measure_floors(measure, split).items():
                results.add(protocol.name, f"floor {floor}", found, _prefix(protocol, measure.name))


def _measure_algorithm(
    algorithm: str,
    matrix: UserItemMatrix,
    hyper_parameters: SvdSettings | NmfSettings,
    wanted: list[str],
    *,
    seeds: list[int],
    results: Results,
) -> float:
    """Mean seconds of one training of both heads; protocols that share a split share the training."""
    seconds = []
    for (_, seed), group in groupby(_splits(matrix, wanted, seeds), key=lambda s: (s[0].choose, s[1])):
        sharing = list(group)
        split = sharing[0][2]
        start = time.perf_counter()
        heads = fit_heads(split.training, matrix.n_items, hyper_parameters, seed)
        seconds.append(time.perf_counter() - start)
        scores = head_scores(heads.rating, heads.ranking, split.training, np.arange(split.n_items), split.scale)
        for protocol, _, _ in sharing:
            results.add(protocol.name, algorithm, _measured(protocol, scores, split))
            if protocol.name == "catalogue" and "popularity_discount" in wanted:
                for strength in DISCOUNTS:
                    found = CATALOGUE.measure(_discounted(heads, scores, strength), split)
                    results.add("popularity_discount", f"{algorithm} {strength}", found)
    for seed in seeds if "fold_in" in wanted else ():
        for metric, value in fold_in_quality(matrix, hyper_parameters, seed).items():
            results.values["fold_in"][algorithm][metric].append(value)
    for seed in seeds if "cold_start" in wanted else ():
        for way, figures in cold_start_quality(matrix, hyper_parameters, seed).items():
            for metric, value in figures.items():
                results.values["cold_start"][f"{algorithm} {way}"][metric].append(value)
    return float(np.mean(seconds))


def _splits(matrix: UserItemMatrix, wanted: list[str], seeds: list[int]) -> Iterator[tuple[Protocol, int, Split]]:
    """Every wanted protocol and seed; protocols with the same split follow each other."""
    protocols = [protocol for name, protocol in PROTOCOLS.items() if name in wanted]
    for _, group in groupby(protocols, key=lambda protocol: protocol.choose):
        sharing = list(group)
        for seed in seeds[:1] if sharing[0].name.startswith("temporal") else seeds:
            try:
                split = sharing[0].divide(matrix, seed)
            except NoOrderInTimeError as error:
                print(f"{sharing[0].name} is left out: {error}", file=sys.stderr)
                continue
            yield from ((protocol, seed, split) for protocol in sharing)


def _discounted(heads: Heads, scores: Scores, strength: float) -> Scores:
    factor = popularity_discount(heads.ranking.user_factors, heads.ranking.item_factors, strength)
    return Scores(scores.predicted_ratings, lambda users: scores.catalogue_scores(users) * factor)


def _measured(protocol: Protocol, scores: Scores, split: Split) -> Measured:
    """All measures of a protocol as one."""
    by_user, of_lists = {}, {}
    for measure in protocol.measures:
        found, prefix = measure.measure(scores, split), _prefix(protocol, measure.name)
        by_user |= {prefix + name: metric for name, metric in found.by_user.items()}
        of_lists |= {prefix + name: value for name, value in found.of_lists.items()}
    return Measured(by_user, of_lists)


def _prefix(protocol: Protocol, measure: str) -> str:
    return f"{measure}_" if len(protocol.measures) > 1 and measure != "rating" else ""


if __name__ == "__main__":
    main()
