"""Whom Dagster's catalogue names for every asset."""

OWNERS = ["team:recommender"]
