"""Content hashes: equal data hash alike however they lie in memory, and every value counts."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ckinetics.provenance import content_hash

SHAPE = (40_000, 1, 3)  # more than one block of the hash
LEVELS = np.random.default_rng(1).normal(size=SHAPE)
GRID = np.broadcast_to([0.0, 7.0, np.nan], SHAPE)
ARRAYS = {
    "levels": LEVELS,
    "grid": GRID,
    "constant": np.full(SHAPE, 50.0),
    "no values": np.full(SHAPE, np.nan),
    "flags": np.ones(SHAPE, dtype=np.int8),
    "dates": np.full(SHAPE, "2026-01-08", dtype="datetime64[ns]"),
    "durations": np.full(SHAPE, 7, dtype="timedelta64[s]"),
    "numbers in 16 bits": GRID.astype(np.float16),
}


def hash_of(values: np.ndarray) -> str:
    dims = ("patient", "matrix", "sample")[: values.ndim]
    return content_hash(xr.Dataset({"it": xr.Variable(dims, values)}))


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("place", [0, 1, 60_000, 60_001, 77_777, 119_999])
def test_every_value_counts(name: str, place: int) -> None:
    values = ARRAYS[name].copy()
    before = hash_of(values)
    flat = values.reshape(-1)
    flat[place] = flat[place] + 1 if flat[place] == flat[place] else 3
    assert hash_of(values) != before


@pytest.mark.parametrize("name", ARRAYS)
def test_order_in_memory_does_not_count(name: str) -> None:
    assert hash_of(np.asfortranarray(ARRAYS[name])) == hash_of(ARRAYS[name].copy())


@pytest.mark.parametrize("name", ["grid", "no values", "levels"])
@pytest.mark.parametrize("place", [2, 60_002, 77_777, 119_999])
def test_one_nan_is_as_good_as_another(name: str, place: int) -> None:
    values = ARRAYS[name].copy()
    values.reshape(-1)[place] = np.nan
    other = values.copy()
    other.reshape(-1).view(np.uint64)[place] ^= 1 << 63 | 5  # another sign and payload
    assert np.isnan(other.reshape(-1)[place])
    assert hash_of(other) == hash_of(values)


@pytest.mark.parametrize("place", [0, 60_000, 77_778, 119_997])
def test_minus_zero_is_zero(place: int) -> None:
    values = GRID.copy()
    values.reshape(-1)[place] = -0.0
    assert hash_of(values) == hash_of(GRID)


def test_shape_and_dtype_count() -> None:
    found = [
        hash_of(np.zeros(shape, dtype=dtype))
        for shape in [(2,), (3,), (2, 3), (3, 2), (1, 6), (6, 1), (0, 3)]
        for dtype in (np.float64, np.float32, np.int64, np.int8)
    ]
    assert len(set(found)) == len(found)


def test_where_a_word_ends_counts() -> None:
    words = [["ab", "c"], ["a", "bc"], ["a\0b", "c"], ["a", "b\0c"], ["", "abc"], ["a", "a"], ["aa", ""], ["", ""]]
    found = [hash_of(np.array(pair, dtype=object)) for pair in words]
    assert len(set(found)) == len(found)


def test_equal_words_hash_alike_in_any_array() -> None:
    words = [f"P{n}" for n in range(50)]
    alike = [np.array(words, dtype=object), np.array([np.str_(word) for word in words], dtype=object)]
    assert len({hash_of(values) for values in alike}) == 1
    same = np.array(["blood"] * 50, dtype=object)
    others = np.array(["".join(["bl", "ood"][:2]) for _ in range(50)], dtype=object)
    assert same[0] is same[1]
    assert others[0] is not others[1]
    assert hash_of(same) == hash_of(others)


@pytest.mark.parametrize("place", [0, 25, 31, 49])
def test_every_word_counts(place: int) -> None:
    for words in (["blood"] * 50, [f"P{n}" for n in range(50)]):
        values = np.array(words, dtype=object)
        before = hash_of(values)
        values[place] = "marrow"
        assert hash_of(values) != before
