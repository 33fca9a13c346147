import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender_assets.features.matrix import matrix_directory, save_matrix
from recommender_assets.settings import TrainingSettings
from recommender_assets.training.heads import TooFewRatingsError
from recommender_assets.training.hold_out import hold_out_mask
from recommender_assets.tuning.tuning_rows import NoMatrixError, split_digest, tuning_matrix, validation_split
from tests.matrices import default_settings, events_table, matrix_from, random_matrix

MATRIX = random_matrix(n_users=25, n_items=20)


def pairs(observations):
    return set(zip(observations.user_of_row().tolist(), observations.item.tolist(), strict=True))


@given(share=st.floats(0.01, 0.6), seed=st.integers(0, 2**31))
def test_the_hold_out_is_in_neither_part_and_everything_else_is_in_one(share, seed):
    hidden = pairs(MATRIX.observations.select(hold_out_mask(MATRIX, share)))

    split = validation_split(MATRIX, TrainingSettings(hold_out_share=share, seed=seed))

    assert not hidden & (pairs(split.training) | pairs(split.test))
    assert not pairs(split.training) & pairs(split.test)
    assert pairs(split.training) | pairs(split.test) | hidden == pairs(MATRIX.observations)


def test_same_rows_and_seed_give_the_same_digest_and_others_another():
    def digest(matrix, seed):
        return split_digest(validation_split(matrix, TrainingSettings(seed=seed)))

    assert digest(MATRIX, 0) == digest(random_matrix(n_users=25, n_items=20), 0)
    assert digest(MATRIX, 0) != digest(MATRIX, 1)


def test_too_few_ratings_to_divide():
    with pytest.raises(TooFewRatingsError, match="too few ratings outside the hold-out"):
        validation_split(matrix_from(events_table([("u", "i", "rating", 4.0)])), TrainingSettings())


def test_the_current_matrix_is_read_and_without_one_it_says_what_to_run(tmp_path):
    settings = default_settings(str(tmp_path))
    with pytest.raises(NoMatrixError, match="run `recommender train` first, or give a file with --ratings"):
        tuning_matrix(settings, None)

    save_matrix(matrix_directory(settings.root), MATRIX)
    assert pairs(tuning_matrix(settings, None).observations) == pairs(MATRIX.observations)


def test_a_file_takes_the_place_of_the_matrix(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("user_id,item_id,rating\na,x,1\nb,y,5\n")

    assert tuning_matrix(default_settings(str(tmp_path)), path).n_users == 2
