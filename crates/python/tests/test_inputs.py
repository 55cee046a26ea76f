"""Every sort of input that people have, and errors that say what is wrong with it."""

from __future__ import annotations

import datetime
import enum
import re
import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import made

import loomdb

ROWS = made(50, 8)


def added(vectors: Any, **more: Any) -> loomdb.Collection:
    docs = loomdb.open(":memory:").collection("docs", metric="l2")
    docs.add(vectors=vectors, **more)
    return docs


def stored(docs: loomdb.Collection) -> np.ndarray[Any, Any]:
    return np.stack([point.vector for point in docs])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "u1", "i1", "i4", "i8"])
def test_every_real_type_is_taken(dtype: str) -> None:
    rows = np.abs(ROWS * 20).astype(dtype)
    assert np.array_equal(stored(added(rows)), rows.astype(np.float32))
    assert added(rows).search(rows[3], k=1).ids.tolist() == [3]


@pytest.mark.parametrize(
    "view",
    [
        lambda rows: rows[::2],
        lambda rows: rows[:, ::3],
        lambda rows: rows[::-1],
        lambda rows: np.asfortranarray(rows),
        lambda rows: np.broadcast_to(rows[0], (4, 8)),
        lambda rows: rows.T,
    ],
)
def test_every_stride_is_taken(view: Any) -> None:
    rows = view(ROWS)
    assert np.array_equal(stored(added(rows)), rows)
    searched = added(rows).search(rows, k=1)
    assert np.all(searched.distances == 0)
    assert added(rows).search(rows[1], k=1).distances.tolist() == [0.0]


def test_lists_tuples_and_generators_are_taken() -> None:
    expected = [[1.0, 2.0], [3.0, 4.0]]
    for given in (
        [[1, 2], [3, 4]],
        ((1.0, 2.0), (3.0, 4.0)),
        [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
        ([x, x + 1] for x in (1, 3)),
        pd.Series([[1.0, 2.0], [3.0, 4.0]]),
        pl.Series([[1.0, 2.0], [3.0, 4.0]]),
        pa.array([[1.0, 2.0], [3.0, 4.0]]),
        pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    ):
        assert stored(added(given)).tolist() == expected, type(given)


def test_tensors_are_taken() -> None:
    class Tensor:
        """Has only what DLPack asks for, as a tensor of another library."""

        def __dlpack__(self, **keywords: Any) -> Any:
            return ROWS.__dlpack__(**keywords)

        def __dlpack_device__(self) -> Any:
            return ROWS.__dlpack_device__()

    class Duck:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return ROWS

    assert np.array_equal(stored(added(Tensor())), ROWS)
    assert np.array_equal(stored(added(Duck())), ROWS)


@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        ([1.0, 2.0], loomdb.DimensionError, "shape (2,); expected (n, dim)"),
        (np.zeros((2, 3, 4)), loomdb.DimensionError, "shape (2, 3, 4); expected (n, dim)"),
        ([[1.0, 2.0], [3.0]], loomdb.DimensionError, "row 1: vectors have 1 values there"),
        (["text"], loomdb.InvalidTypeError, "expected real numbers"),
        ("text", loomdb.InvalidTypeError, "vectors is text"),
        ([[1j, 2j]], loomdb.InvalidTypeError, "complex128; expected real numbers"),
        ([[True, False]], loomdb.InvalidTypeError, "bool; expected real numbers"),
        ([None, [1.0]], loomdb.InvalidInputError, "row 0: vectors are None"),
        ([[1.0], [float("nan")]], loomdb.InvalidInputError, "row 1 has NaN at position 0"),
        (np.array([[1e300]]), loomdb.InvalidInputError, "row 0 has inf at position 0"),
        (np.zeros((2, 0)), loomdb.DimensionError, "dim 0 is out of range"),
        (object(), loomdb.InvalidTypeError, "object"),
        (None, loomdb.InvalidTypeError, "no vectors were given"),
    ],
)
def test_wrong_vectors_are_explained(vectors: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        added(vectors)


def test_zero_vectors_have_no_angle() -> None:
    docs = loomdb.open(":memory:").collection("docs")
    with pytest.raises(loomdb.InvalidInputError, match="row 1 is zero"):
        docs.add(vectors=[[1.0], [0.0]])
    assert len(docs) == 0


def test_another_dimension_is_explained(docs: loomdb.Collection) -> None:
    message = "the vectors have 2 dimensions, this one has 3"
    with pytest.raises(loomdb.DimensionError, match=message):
        docs.add(["x"], [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match=message):
        docs.search([1.0, 2.0, 3.0])
    with pytest.raises(loomdb.DimensionError, match=r"expected \(dim,\) for one query"):
        docs.search(np.zeros((1, 1, 2)))


class Color(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2],
        (1, 2),
        range(1, 3),
        iter([1, 2]),
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=np.uint64),
        np.array([1, 9, 2, 9])[::2],
        [np.int64(1), np.uint8(2)],
        pd.Series([1, 2]),
        pl.Series([1, 2]),
        pa.array([1, 2]),
        pa.chunked_array([[1], [2]]),
    ],
)
def test_integers_as_ids(ids: Any) -> None:
    docs = added([[1.0], [2.0]], ids=ids)
    assert [point.id for point in docs] == [1, 2]
    assert np.int64(2) in docs and 3 not in docs
    assert [point and point.id for point in docs.get(np.array([2, 7, 1]))] == [2, None, 1]


def test_texts_as_ids() -> None:
    one: Any = uuid.uuid4()
    two: Any = uuid.uuid4()
    docs = added([[1.0], [2.0]], ids=[one, two])
    assert [point.id for point in docs] == [str(one), str(two)]
    assert [point and point.id for point in docs.get([two, str(uuid.uuid4())])] == [str(two), None]
    for ids in (np.array(["a", "b"]), pd.Series(["a", "b"]), [np.str_("a"), Color("red")]):
        assert all(isinstance(point.id, str) for point in added([[1.0], [2.0]], ids=ids))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a"], loomdb.InvalidInputError, "1 ids were given for 2 vectors"),
        (["a", 1], loomdb.InvalidInputError, "row 1: integers and strings are mixed"),
        ([1, "a"], loomdb.InvalidInputError, "row 1: integers and strings are mixed"),
        ([1, -1], loomdb.InvalidInputError, "row 1: the id -1 is out of range"),
        (np.array([1, -1]), loomdb.InvalidInputError, "row 1: the id -1 is negative"),
        ([1, 2**64], loomdb.InvalidInputError, "row 1: the id 18446744073709551616 is out"),
        ([1.0, 2.0], loomdb.InvalidTypeError, "row 0: the id is a float"),
        (np.array([1.5, 2.5]), loomdb.InvalidTypeError, "row 0: the id is a float"),
        ([True, False], loomdb.InvalidTypeError, "row 0: the id is a bool"),
        ([None, None], loomdb.InvalidTypeError, "row 0: the id is a NoneType"),
        ([1, 1], loomdb.InvalidInputError, "row 0 has the same id: 1"),
        (["a" * 513, "b"], loomdb.InvalidInputError, "at most 512 bytes"),
        (np.array([[1], [2]]), loomdb.InvalidInputError, "ids has the shape (2, 1)"),
    ],
)
def test_wrong_ids_are_explained(ids: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        added([[1.0], [2.0]], ids=ids)


def test_ids_are_of_one_type_in_a_collection(docs: loomdb.Collection) -> None:
    with pytest.raises(loomdb.InvalidInputError, match="ids of the collection are texts"):
        docs.add([1], [[1.0, 1.0]])
    with pytest.raises(loomdb.InvalidInputError, match="ids of the collection are texts"):
        docs.get([1])
    with pytest.raises(loomdb.InvalidInputError, match="give an id for each vector"):
        docs.add(vectors=[[1.0, 1.0]])


@pytest.mark.parametrize(
    "metadata",
    [
        [{"n": 1, "t": "x"}, {"n": 2}],
        ({"n": 1, "t": "x"}, {"n": 2}),
        {"n": [1, 2], "t": ["x", None]},
        {"n": np.array([1, 2]), "t": ["x", None]},
        pd.DataFrame({"n": [1, 2], "t": ["x", None]}),
        pl.DataFrame({"n": [1, 2], "t": ["x", None]}),
        pa.table({"n": [1, 2], "t": ["x", None]}),
        pa.record_batch({"n": [1, 2], "t": ["x", None]}),
    ],
)
def test_metadata_in_every_form(metadata: Any) -> None:
    docs = added([[1.0], [2.0]], metadata=metadata)
    assert [point.metadata for point in docs] == [{"n": 1, "t": "x"}, {"n": 2}]


def test_values_of_metadata_that_stand_for_others() -> None:
    record = {
        "np": np.float32(0.5),
        "npi": np.int16(3),
        "npb": np.bool_(True),
        "nps": np.str_("x"),
        "date": datetime.date(2024, 5, 1),
        "np_date": np.datetime64("2024-05-01T01:00"),
        "pd_date": pd.Timestamp("2024-05-01 02:00", tz="Europe/Berlin"),
        "enum": Color.RED,
        "uuid": uuid.UUID(int=5),
        "set": {"b", "a"},
        "array": np.array(["p", "q"]),
        "nat": pd.NaT,
    }
    utc = datetime.timezone.utc
    assert added([[1.0]], metadata=[record])[0].metadata == {
        "np": 0.5,
        "npi": 3,
        "npb": True,
        "nps": "x",
        "date": datetime.datetime(2024, 5, 1, tzinfo=utc),
        "np_date": datetime.datetime(2024, 5, 1, 1, tzinfo=utc),
        "pd_date": datetime.datetime(2024, 5, 1, tzinfo=utc),
        "enum": "red",
        "uuid": "00000000-0000-0000-0000-000000000005",
        "set": ["a", "b"],
        "array": ["p", "q"],
    }


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([{}], "metadata of 1 points were given for 2 points"),
        ([{}, 5], "row 1: the metadata are a int, not a dict"),
        ([{}, {5: 1}], "row 1: the key 5 is not a str"),
        ([{"a": 1}, {"a": "x"}], "row 1: the metadata field \"a\" holds a str, and an int"),
        ([{"a": True}, {"a": 1}], "row 1: the metadata field \"a\" holds an int, and a bool"),
        ([{}, {"a": [{"b": 1}]}], "row 1: the metadata field \"a\" holds a list with a dict"),
        ([{}, {"a": [1]}], "row 1: the metadata field \"a\" holds a list with a int"),
        ([{}, {"a": 2**63}], "9223372036854775808, which has more than 64 bits"),
        ([{"a": 0.5}, {"a": 2**53 + 1}], "9007199254740993 among floats"),
        ([{}, {"a": float("nan")}], "the field \"a\" holds NaN"),
        ([{}, {"a": object()}], "row 1: the metadata field \"a\" holds a object"),
        ([{"id": 1}, {}], "\"id\" cannot be the name of a metadata field"),
        ([{"$a": 1}, {}], "do not begin with $"),
        ({"a": 1}, "give a list of dicts, or a list for each field"),
        ({"a": [1]}, "the metadata field 'a' has 1 values for 2 points"),
        (5, "metadata is a int; give a dict for each point"),
    ],
)
def test_wrong_metadata_are_explained(metadata: Any, message: str) -> None:
    with pytest.raises(loomdb.Error, match=re.escape(message)) as caught:
        added([[1.0], [2.0]], metadata=metadata)
    assert isinstance(caught.value, (ValueError, TypeError))


def test_integers_among_floats_are_floats() -> None:
    docs = added([[1.0], [2.0], [3.0]], metadata=[{"a": 1}, {}, {"a": 0.5}])
    assert [point.metadata for point in docs] == [{"a": 1.0}, {}, {"a": 0.5}]
