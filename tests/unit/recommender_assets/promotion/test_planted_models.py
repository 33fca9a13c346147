"""Planted models on real ratings: whatever the seed, a bad one never becomes champion, and a better one always does."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recommender_assets.features.matrix import UserItemMatrix, matrix_directory, save_matrix
from recommender_assets.ingestion.sources import films, ratings
from recommender_assets.promotion.candidates import candidate_directory
from recommender_assets.promotion.contenders import hold_contest
from recommender_assets.promotion.contest import Contest
from recommender_assets.promotion.policy import Decision, Verdict, decide
from recommender_assets.promotion.publication import publish
from recommender_assets.settings import NmfSettings, SvdSettings
from recommender_assets.training.heads import Heads, with_users_of
from recommender_assets.training.trainer import train
from recommender_serving.engine.factor_model import FactorModel, write_model
from recommender_serving.engine.history import observe
from tests.matrices import EVENT_COLUMNS, default_settings, matrix_from

SEEDS = range(3)
USERS, FILMS = 200, 250
POOR = SvdSettings(factors=2, epochs=1, ranking_iterations=1)
GOOD = SvdSettings(factors=16, epochs=40, ranking_iterations=8)
PEER = NmfSettings(factors=2, iterations=1, ranking_iterations=1)


@cache
def matrix() -> UserItemMatrix:
    """Ratings of the most active users of the most rated films."""
    table = ratings()
    for column, count in (("user_id", USERS), ("item_id", FILMS)):
        ranked = table[column].value_counts().sort(order="descending", by="counts")
        table = table.filter(pc.is_in(table[column], ranked.field("values").slice(0, count)))
    n = table.num_rows
    events = table.append_column("event_type", pa.array(["rating"] * n))
    return matrix_from(events.append_column("event_key", pa.array(range(n), pa.int64())).select(EVENT_COLUMNS), films())


@cache
def trained(seed: int, svd: SvdSettings) -> FactorModel:
    settings = default_settings(svd=svd)
    settings = msgspec.structs.replace(settings, training=msgspec.structs.replace(settings.training, seed=seed))
    return train("svd", matrix(), settings).model


@cache
def peer() -> FactorModel:
    return train("nmf", matrix(), default_settings(nmf=PEER)).model


def named(model: FactorModel, version: str) -> FactorModel:
    return replace(model, manifest=msgspec.structs.replace(model.manifest, version=version))


def with_heads(model: FactorModel, **heads: object) -> FactorModel:
    """The model with other item factors, its users solved for them exactly: nothing but its figures gives it away."""
    observations = observe(model.history, model.manifest.weights, model.manifest.scale)
    changed = replace(Heads(rating=model.rating, ranking=model.ranking, curves={}), **heads)  # type: ignore[arg-type]
    solved = with_users_of(changed, observations)
    return replace(model, rating=solved.rating, ranking=solved.ranking)


def shuffled_stars(model: FactorModel, seed: int) -> FactorModel:
    """Predicts the stars of other films."""
    order = np.random.default_rng(seed).permutation(model.n_items)
    head = replace(model.rating, item_factors=model.rating.item_factors[order], item_bias=model.rating.item_bias[order])
    return with_heads(model, rating=head)


def shuffled_lists(model: FactorModel, seed: int) -> FactorModel:
    """Predicts stars well and lists other films."""
    order = np.random.default_rng(seed).permutation(model.n_items)
    return with_heads(model, ranking=replace(model.ranking, item_factors=model.ranking.item_factors[order]))


def noisy_stars(model: FactorModel, seed: int) -> FactorModel:
    """Film biases half a star off."""
    noise = np.random.default_rng(seed).normal(scale=0.5, size=model.n_items).astype(np.float32)
    return with_heads(model, rating=replace(model.rating, item_bias=model.rating.item_bias + noise))


def unsolved_users(model: FactorModel, seed: int) -> FactorModel:
    """Good item factors, but stored users that the service would not solve so: everyone's list moves at their event."""
    noise = np.random.default_rng(seed).normal(scale=0.05, size=model.ranking.user_factors.shape).astype(np.float32)
    return replace(model, ranking=replace(model.ranking, user_factors=model.ranking.user_factors + noise))


def contest_of(root: Path, champion: FactorModel, candidate: FactorModel) -> Contest:
    """The real contest of a candidate with a champion."""
    settings = default_settings(str(root))
    save_matrix(matrix_directory(root), matrix())
    (root / "models").mkdir()
    for model, version in ((champion, "svd-1"), (peer(), "nmf-1")):
        write_model(candidate_directory(root, version), named(model, version))
    verdict = Verdict(version="svd-1", algorithm="svd", is_sound=True)
    publish(root, Decision(promoted=True, champion="svd-1", predecessor=None, reason="", verdicts=(verdict,)))
    write_model(candidate_directory(root, "svd-2"), named(candidate, "svd-2"))
    return hold_contest(settings)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("plant", "objection"),
    [
        (shuffled_stars, "rmse"),
        (noisy_stars, "rmse"),
        (shuffled_lists, "catalogue_ndcg_at_10"),
        (unsolved_users, "fold_in_error"),
    ],
)
def test_a_planted_bad_model_is_never_promoted(
    tmp_path: Path, seed: int, plant: Callable[[FactorModel, int], FactorModel], objection: str
) -> None:
    """Made of a model that would win; each kind of damage is found by the figure that measures it."""
    contest = contest_of(tmp_path, trained(seed, POOR), plant(trained(seed, GOOD), seed))
    decision = decide(contest, default_settings().promotion)
    assert decision.champion == "svd-1"
    (verdict,) = (verdict for verdict in decision.verdicts if verdict.version == "svd-2")
    assert any(objection in found for found in verdict.objections), verdict.objections


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planted_better_model_is_always_promoted_and_the_worse_one_never_back(tmp_path: Path, seed: int) -> None:
    policy = default_settings().promotion
    decision = decide(contest_of(tmp_path, trained(seed, POOR), trained(seed, GOOD)), policy)
    assert (decision.champion, decision.predecessor) == ("svd-2", "svd-1"), decision.reason
    gain = decision.verdicts[0].gain
    assert gain is not None
    assert gain.low > 0
    (tmp_path / "back").mkdir()
    back = decide(contest_of(tmp_path / "back", trained(seed, GOOD), trained(seed, POOR)), policy)
    assert back.champion == "svd-1"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_model_that_is_the_same_but_for_its_name_gains_nothing(tmp_path: Path, seed: int) -> None:
    decision = decide(contest_of(tmp_path, trained(seed, GOOD), trained(seed, GOOD)), default_settings().promotion)
    assert not decision.promoted
