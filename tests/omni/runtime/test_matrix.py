"""What cannot be a matrix is refused, in one line that names the array, before C sees it."""

from __future__ import annotations

import numpy as np
import pytest

from omni.runtime import Matrix
from tests.omni.runtime.matrices import blocks

GOOD = blocks(np.random.default_rng(0), (24, 10), (8, 1), 0.5)._asdict()
GOOD.pop("whole")
KEPT = len(GOOD["columns"])


def changed(array: np.ndarray, place: int, value: int) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


def test_the_good_one_is_one():
    assert KEPT > 6 and GOOD["starts"][1] > 2
    assert Matrix.sparse(**GOOD).apply(np.ones((2, 10), np.float32)).shape == (2, 24)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"values": GOOD["values"][:-1]}, "values: want"),
        ({"values": GOOD["values"].astype(np.float64)}, "values: want float32 or int8, not float64"),
        ({"values": GOOD["values"].astype(">f4")}, "values: want float32 or int8"),
        ({"columns": changed(GOOD["columns"], 0, 10)}, "columns: 10 is none of the 10"),
        ({"columns": changed(GOOD["columns"], 1, GOOD["columns"][0])}, "columns: block 1 is not right of"),
        ({"columns": changed(GOOD["columns"], KEPT - 1, 0)}, f"columns: block {KEPT - 1} is not right of"),
        ({"columns": GOOD["columns"].astype(np.int32)}, "columns: want uint16 or uint32"),
        ({"columns": GOOD["columns"][None]}, "columns: want one dimension"),
        ({"columns": GOOD["columns"][:-1], "values": GOOD["values"][:-1]}, "starts: want numbers that rise"),
        ({"starts": changed(GOOD["starts"], 0, 1)}, "starts: want numbers that rise"),
        ({"starts": changed(GOOD["starts"], 1, KEPT + 1)}, "starts: want numbers that rise"),
        ({"starts": changed(GOOD["starts"], 1, -1)}, "starts: want numbers that rise"),
        ({"starts": changed(GOOD["starts"], -1, KEPT + 1)}, "starts: want numbers that rise"),
        ({"starts": GOOD["starts"][:-1]}, "starts: want 4 numbers"),
        ({"starts": GOOD["starts"].astype(np.int64)}, "starts: want int32"),
        ({"shape": (24, 9)}, "columns: 9 is none of the 9"),
        ({"shape": (23, 10)}, "shape 23x10 is not a whole number of blocks of 8x1"),
        ({"shape": (24, 0)}, "shape: want two numbers from 1"),
        ({"shape": (24, 2**31)}, "shape: want two numbers from 1"),
        ({"shape": 24}, "shape: want two whole numbers"),
        ({"blocks": (8, 3)}, "is not a whole number of blocks of 8x3"),
        ({"blocks": (-8, 1)}, "blocks: want two numbers from 1"),
        ({"scale": np.ones(23, np.float32)}, "scale: want 24 numbers, not 23"),
        ({"bias": np.ones(24)}, "bias: want float32, not float64"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_are_no_block_sparse_matrix(change, said):
    if "columns" in said and "shape" in change:
        assert GOOD["columns"].max() == 9
    with pytest.raises(ValueError) as refused:
        Matrix.sparse(**{**GOOD, **change})
    assert str(refused.value).startswith(said) or said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_columns_may_fall_from_one_group_to_the_next_and_groups_may_be_empty():
    values = np.ones((2, 1, 8), np.float32)
    columns = np.array([3, 0], np.uint16)
    for starts in ([0, 1, 1, 2], [0, 0, 1, 2], [0, 1, 2, 2]):
        Matrix.sparse(values, columns, np.array(starts, np.int32), (24, 4), (8, 1))
    for starts in ([0, 2, 2, 2], [0, 0, 2, 2], [0, 0, 0, 2]):
        with pytest.raises(ValueError, match="columns: block 1"):
            Matrix.sparse(values, columns, np.array(starts, np.int32), (24, 4), (8, 1))
    starts, bias = np.zeros(4, np.int32), np.ones(24, np.float32)
    nothing = Matrix.sparse(values[:0], columns[:0], starts, (24, 4), (8, 1), bias=bias)
    assert (nothing.apply(np.ones((3, 4), np.float32)) == 1).all()


@pytest.mark.parametrize("weight", [np.ones((3, 4)), np.ones(3, np.int8), np.ones((0, 4), np.int8), np.ones((2, 2, 2))])
def test_arrays_that_are_no_dense_matrix(weight):
    with pytest.raises(ValueError, match="weight"):
        Matrix.dense(weight)


@pytest.mark.parametrize("x", [np.ones((2, 9), np.float32), np.ones(10, np.float32), np.ones((2, 10))])
def test_activations_of_another_shape_or_type(x):
    with pytest.raises(ValueError, match="^x: want float32"):
        Matrix.sparse(**GOOD).apply(x)


@pytest.mark.parametrize("matrix", [Matrix.sparse(**GOOD), Matrix.dense(np.ones((24, 10), np.int8))])
def test_where_results_cannot_go(matrix):
    x = np.ones((2, 24), np.float32)
    read_only = np.empty((2, 24), np.float32)
    read_only.flags.writeable = False
    for out in (np.empty((2, 23), np.float32), np.empty((2, 24)), np.empty((2, 48), np.float32)[:, ::2],
                np.empty((24, 2), np.float32).T, read_only, x, np.empty((1, 24), np.float32).repeat(2, 0)[::-1],
                np.lib.stride_tricks.as_strided(np.empty(30, np.float32), (2, 24), (4, 4))):
        for call in (matrix.apply, matrix.bound):
            with pytest.raises(ValueError, match="^out: "):
                call(x[:, :10], out)


def test_activations_that_c_cannot_walk_are_copied_and_those_of_a_bound_call_refused():
    matrix = Matrix.sparse(**GOOD)
    x = np.random.default_rng(0).standard_normal((4, 10)).astype(np.float32)
    want, out = matrix.apply(x), np.empty((4, 24), np.float32)
    for same in (x.repeat(2, 1)[:, ::2], x.T.copy().T, x[::-1].copy()[::-1]):
        assert np.array_equal(matrix.apply(same), want)
        with pytest.raises(ValueError, match="^x: want rows contiguous"):
            matrix.bound(same, out)
    same_row = np.broadcast_to(x[0], (4, 10))
    assert np.array_equal(matrix.apply(same_row), matrix.apply(same_row.copy()))
