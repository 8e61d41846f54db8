"""Int8 with a scale an output: no value moves by more than half a step, zero stays zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omni.ship.quantize import quantize, restore, scales_of


def _rows(*largest):
    return np.random.RandomState(0).uniform(-1, 1, (len(largest), 50)).astype(np.float32) * np.float32(largest)[:, None]


@given(st.lists(st.floats(1e-30, 1e30), min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_value_moves_by_more_than_half_a_step(largest):
    matrix = _rows(*largest)
    values, scale = quantize(matrix)
    step = scale.astype(np.float64)[:, None]
    assert values.dtype == np.int8 and np.abs(values.astype(int)).max() <= 127
    assert (np.abs(values * step - matrix) <= 0.5 * step * (1 + 1e-5)).all()
    assert (scale.astype(np.float32) >= np.abs(matrix).max(axis=1) / np.float32(127)).all()


def test_a_row_uses_the_whole_range():
    values, scale = quantize(np.float32([[127, -127, 1, 0], [2, -1, 0, 0]]))
    assert values.tolist() == [[127, -127, 1, 0], [127, -63, 0, 0]]  # the second scale is 2/127, rounded up
    assert scale[0] == 1 and scale.dtype == np.float16 and scale[1] >= 2 / 127


def test_scales_are_float16_where_that_has_all_digits():
    for largest, kind in ((1.0, np.float16), (127 * 7e-5, np.float16), (127 * 5e-5, np.float32), (1e9, np.float32)):
        assert scales_of(np.float32([1.0, largest])).dtype == kind, largest


def test_zeros_stay_zeros():
    matrix = np.zeros((3, 4), np.float32)
    matrix[1, 2] = 5.0
    values, scale = quantize(matrix)
    assert np.array_equal(restore(values, scale) != 0, matrix != 0) and scale.tolist()[::2] == [1, 1]
    assert restore(values, scale)[1, 2] == pytest.approx(5.0, rel=1e-3)


def test_a_kernel_and_an_embedding_have_a_scale_an_output():
    weight = np.random.RandomState(0).randn(6, 4, 3).astype(np.float32)
    values, scale = quantize(weight)
    assert values.shape == (6, 4, 3) and scale.shape == (6,)
    assert np.abs(restore(values, scale) - weight).max() < weight.max() / 200
