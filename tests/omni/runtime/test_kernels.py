"""Products in every instruction set of this machine, and in numpy, against float64."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from omni import runtime
from omni.runtime import Matrix
from tests.omni.runtime.matrices import blocks, close, numbers, unaligned

GRIDS = [((48, 31), (8, 1)), ((48, 20), (16, 1)), ((48, 7), (24, 1)), ((64, 10), (32, 1)), ((32, 24), (8, 4)),
         ((48, 9), (16, 3)), ((12, 10), (1, 1)), ((12, 10), (4, 1)), ((6, 8), (2, 2)), ((8, 1), (8, 1))]


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("shape, grid", GRIDS, ids=lambda pair: "x".join(map(str, pair)))
def test_blocks_of_every_kind_and_any_number_of_rows(isa, shape, grid, dtype):
    rng = np.random.default_rng(0)
    scale, bias = (numbers(rng, shape[:1]) for _ in range(2))
    for rows in (*range(1, 15), 33):
        weight = blocks(rng, shape, grid, rng.choice([0, 0.5, 0.9]), dtype)
        x = numbers(rng, (rows, shape[1]))
        for by, plus in ((scale, bias), (scale, None), (None, bias), (None, None)):
            assert close(Matrix.sparse(*weight[:5], by, plus).apply(x), weight.whole, x, by, plus), (rows, by, plus)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("shape", [(48, 31), (16, 1), (17, 8), (3, 5), (1, 1), (40, 6)])
def test_dense_weights_with_any_number_of_outputs(isa, shape, dtype):
    rng = np.random.default_rng(1)
    scale, bias = (numbers(rng, shape[:1]) for _ in range(2))
    weight = numbers(rng, shape, dtype)
    for rows in (*range(1, 15), 33):
        x = numbers(rng, (rows, shape[1]))
        assert close(Matrix.dense(weight, scale, bias).apply(x), weight, x, scale, bias)
        assert close(Matrix.dense(weight.T.copy().T).apply(x), weight, x)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=strategies.integers(1, 5), rows=strategies.sampled_from([1, 2, 4, 8, 12, 16, 40]),
       wide=strategies.integers(1, 20), cols=strategies.integers(1, 4), sparsity=strategies.floats(0, 1),
       m=strategies.integers(1, 27), int8=strategies.booleans(), left=strategies.integers(0, 3),
       seed=strategies.integers(0, 2**32 - 1))
def test_any_grid_within_a_larger_array(isa, groups, rows, wide, cols, sparsity, m, int8, left, seed):
    rng = np.random.default_rng(seed)
    shape = (groups * rows, wide * cols)
    weight = blocks(rng, shape, (rows, cols), sparsity, np.int8 if int8 else np.float32)
    x = numbers(rng, (m, shape[1] + 5))[:, left : left + shape[1]]
    around = np.full((m + 2, shape[0] + 7), 7, np.float32)
    out = around[1:-1, 3:-4]
    assert Matrix.sparse(*weight[:5]).apply(x, out) is out
    assert close(out, weight.whole, x)
    out[:] = 7
    assert (around == 7).all(), "written outside of out"


def test_memory_that_is_unaligned_and_read_only(isa):
    rng = np.random.default_rng(2)
    scale, bias = (unaligned(numbers(rng, (32,))) for _ in range(2))
    for grid in ((8, 1), (8, 2), (4, 1)):
        for dtype in (np.float32, np.int8):
            weight = blocks(rng, (32, 22), grid, 0.5, dtype)
            arrays = [unaligned(array) for array in weight[:3]]
            x = numbers(rng, (5, 22))
            assert close(Matrix.sparse(*arrays, *weight[3:5], scale, bias).apply(x), weight.whole, x, scale, bias)
            assert close(Matrix.sparse(*arrays, *weight[3:5]).apply(unaligned(x)), weight.whole, x)
            assert close(Matrix.dense(unaligned(weight.whole.astype(dtype)), scale).apply(x), weight.whole, x, scale)


def test_memory_mapped_arrays_are_used_where_they_are(isa, tmp_path):
    rng = np.random.default_rng(3)
    weight = blocks(rng, (32, 22), (8, 1), 0.5)
    for name in ("values", "columns", "starts"):
        np.save(tmp_path / f"{name}.npy", getattr(weight, name))
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("values", "columns", "starts")]
    matrix = Matrix.sparse(*mapped, *weight[3:5])
    assert np.shares_memory(matrix._arrays["values"], mapped[0])
    del mapped
    x = numbers(rng, (4, 22))
    assert close(matrix.apply(x), weight.whole, x)


def test_columns_of_32_bits_and_more_inputs_than_16_bits_count(isa):
    rng = np.random.default_rng(4)
    for inputs, grid in ((30, (8, 1)), (30, (8, 2)), (70000, (8, 1)), (70000, (8, 2)), (2**17, (4, 2))):
        weight = blocks(rng, (16, inputs), grid, 0.99 if inputs > 30 else 0.5)
        x = numbers(rng, (3, inputs))
        for columns in (weight.columns, weight.columns.astype(np.uint32)):
            matrix = Matrix.sparse(weight.values, columns, *weight[2:5])
            assert close(matrix.apply(x), weight.whole, x), (inputs, grid, columns.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_nan_and_infinity_reach_the_outputs_that_keep_their_column_and_no_other(isa, dtype):
    weight = blocks(np.random.default_rng(5), (32, 20), (8, 1), 0.5, dtype)
    values = np.where(weight.values == 0, 1, weight.values).astype(dtype)
    reached = np.zeros((4, 20), bool)
    reached[np.repeat(np.arange(4), np.diff(weight.starts)), weight.columns] = True
    matrix = Matrix.sparse(values, *weight[1:5])
    for rows in (1, 3, 5, 9):
        for bad in (np.nan, np.inf, -np.inf):
            x = np.ones((rows, 20), np.float32)
            x[rows // 2, 7] = bad
            finite = np.isfinite(matrix.apply(x))
            assert (finite[rows // 2] == ~np.repeat(reached[:, 7], 8)).all()
            assert np.delete(finite, rows // 2, axis=0).all()


def test_a_bound_call_reads_and_writes_the_buffers_as_they_are_then(isa):
    rng = np.random.default_rng(6)
    weight = blocks(rng, (32, 22), (8, 1), 0.5)
    x, out = np.zeros((5, 22), np.float32), np.empty((5, 32), np.float32)
    for matrix in (Matrix.sparse(*weight[:5]), Matrix.dense(weight.whole.astype(np.float32))):
        call = matrix.bound(x, out)
        for _ in range(2):
            x[:] = numbers(rng, x.shape)
            call()
            assert close(out, weight.whole, x)


def test_threads_share_a_matrix(isa):
    rng = np.random.default_rng(7)
    weight = blocks(rng, (64, 100), (8, 1), 0.5)
    matrix, wrong = Matrix.sparse(*weight[:5]), []

    def work(seed: int) -> None:
        x = numbers(np.random.default_rng(seed), (seed + 2, 100))
        for _ in range(50):
            if not close(matrix.apply(x), weight.whole, x):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_rows_are_no_work(isa):
    assert Matrix.dense(np.ones((4, 3), np.float32)).apply(np.ones((0, 3), np.float32)).shape == (0, 4)
    assert runtime.isa() == isa
