from recommender_assets.definitions import defs

defs()  # imports every module of definitions as Dagster does: without the warnings about its beta parameters
