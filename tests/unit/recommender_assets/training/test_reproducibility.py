"""What a manifest records is enough to make the same model again from the same events."""

import msgspec
import numpy as np
import pytest

from recommender_assets.features.matrix import matrix_of_events
from recommender_assets.settings import NmfSettings, Settings, SvdSettings, TrainingSettings
from recommender_assets.training.trainer import train
from recommender_serving.engine.config import EventWeights, RatingScale
from recommender_serving.engine.factor_model import read_model, write_model
from recommender_serving.engine.manifest import Manifest, Position
from tests.matrices import NO_ITEMS, default_settings, events_table

EVENTS = events_table([(f"u{u}", f"i{i}", "rating", 1.0 + (u * i) % 5) for u in range(20) for i in range(15)])
WEIGHTS = EventWeights(view=0.3)
SCALE = RatingScale(min=1, max=5)


def original(algorithm: str) -> Settings:
    settings = default_settings(
        svd=SvdSettings(factors=6, epochs=7, ranking_iterations=3, implicit_term=True),
        nmf=NmfSettings(factors=4, iterations=5, ranking_iterations=3),
    )
    return msgspec.structs.replace(settings, training=TrainingSettings(seed=11, hold_out_share=0.25))


def recorded(manifest: Manifest) -> Settings:
    """Settings made of nothing but the manifest and the defaults of what is not trained with."""
    hyper_parameters = dict(manifest.hyper_parameters)
    of_training = {name: hyper_parameters.pop(name) for name in ("hold_out_share", "engine")}
    training = TrainingSettings(seed=manifest.seed, **of_training)
    kind = SvdSettings if manifest.algorithm == "svd" else NmfSettings
    chosen = {manifest.algorithm: msgspec.convert(hyper_parameters, kind)}
    return msgspec.structs.replace(default_settings(**chosen), training=training)


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_the_manifest_and_the_events_give_the_same_files(algorithm, tmp_path):
    first = train(algorithm, matrix_of_events(EVENTS, NO_ITEMS, Position(), WEIGHTS, SCALE), original(algorithm))
    write_model(tmp_path / "first", first.model)
    manifest = read_model(tmp_path / "first").manifest

    shuffled = EVENTS.take(np.random.default_rng(0).permutation(EVENTS.num_rows))
    matrix = matrix_of_events(shuffled, NO_ITEMS, manifest.position, manifest.weights, manifest.scale)
    again = write_model(tmp_path / "again", train(algorithm, matrix, recorded(manifest)).model)

    assert again.files == manifest.files
    assert again.version.rpartition("-")[2] == manifest.version.rpartition("-")[2]
    assert again.library_versions == manifest.library_versions


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_another_seed_of_the_manifest_would_not(algorithm, tmp_path):
    matrix = matrix_of_events(EVENTS, NO_ITEMS, Position(), WEIGHTS, SCALE)
    manifest = write_model(tmp_path / "first", train(algorithm, matrix, original(algorithm)).model)
    other = msgspec.structs.replace(manifest, seed=manifest.seed + 1)

    again = write_model(tmp_path / "again", train(algorithm, matrix, recorded(other)).model)

    assert again.files != manifest.files
