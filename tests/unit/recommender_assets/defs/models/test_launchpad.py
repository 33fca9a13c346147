from typing import Any

import dagster as dg
import msgspec
import pytest

from recommender_assets.definitions import defs
from recommender_assets.defs.models.assets import CONFIGURED
from recommender_assets.defs.models.launchpad import changes, launchpad_fields
from recommender_assets.settings import NmfSettings, SvdSettings, load_settings


@pytest.mark.parametrize("algorithm", ["svd", "nmf"])
def test_the_launchpad_shows_every_hyper_parameter_as_configured(algorithm: str) -> None:
    asset = defs().resolve_assets_def(f"{algorithm}_model")
    configured = getattr(load_settings().models, algorithm)
    shown = asset.op.config_schema.config_type.fields  # type: ignore[union-attr]
    assert {name: field.default_value for name, field in shown.items()} == msgspec.to_builtins(configured)
    assert all(field.description for field in shown.values())


def run_config(algorithm: str, **config: Any) -> dict[str, Any]:
    return {"ops": {f"{algorithm}_model": {"config": config}}}


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        ("svd", {}),
        ("svd", {"factors": 8, "learning_rate": 0.02, "implicit_term": True}),
        ("svd", {"regularization": 1}),
        ("nmf", {"beta_loss": "frobenius"}),
    ],
)
def test_what_the_launchpad_takes(algorithm: str, config: dict[str, Any]) -> None:
    assert dg.validate_run_config(defs().resolve_job_def("train_job"), run_config(algorithm, **config))


@pytest.mark.parametrize(
    ("algorithm", "config", "complaint"),
    [
        ("svd", {"factor": 8}, 'Received unexpected config entry "factor"'),
        ("svd", {"factors": 8.5}, "not valid for expected type"),
        ("svd", {"learning_rate": "fast"}, "not valid for expected type"),
        ("nmf", {"beta_loss": "kullback"}, "not in enum type beta_loss"),
    ],
)
def test_what_the_launchpad_refuses(algorithm: str, config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=complaint):
        dg.validate_run_config(defs().resolve_job_def("train_job"), run_config(algorithm, **config))


def test_only_what_differs_from_the_configuration_is_a_change() -> None:
    as_configured = msgspec.to_builtins(CONFIGURED.svd)
    assert changes(as_configured, CONFIGURED.svd) == {}
    asked = as_configured | {"factors": 8, "implicit_term": not CONFIGURED.svd.implicit_term}
    assert changes(asked, CONFIGURED.svd) == {"factors": 8, "implicit_term": not CONFIGURED.svd.implicit_term}


@pytest.mark.parametrize("defaults", [SvdSettings(factors=7), NmfSettings(alpha=0.5)])
def test_defaults_are_those_that_are_given(defaults: SvdSettings | NmfSettings) -> None:
    fields = launchpad_fields(defaults)
    assert {name: field.default_value for name, field in fields.items()} == msgspec.to_builtins(defaults)
