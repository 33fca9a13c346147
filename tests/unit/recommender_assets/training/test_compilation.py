import numpy as np

from recommender_assets.training.compilation import writable


def test_writable_arrays_are_not_copied_and_read_only_ones_are():
    array = np.arange(3.0)
    assert writable(array) is array
    array.flags.writeable = False

    copy = writable(array)

    assert copy.flags.writeable
    assert copy.tolist() == [0.0, 1.0, 2.0]


def test_arrays_become_contiguous():
    assert writable(np.ones((4, 4))[:, ::2]).flags.c_contiguous
