"""What a build reads: Parquet files, or the blocks of a Ray dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._results import package
from ..errors import DimensionError, InvalidInputError, InvalidTypeError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: Rows that are read and assigned at a time.
BATCH_ROWS = 16_384


@dataclass(frozen=True)
class Columns:
    """The columns that a build needs."""

    id: str
    vector: str


@dataclass(frozen=True)
class Piece:
    """A part of the source that one task reads."""

    #: What messages call it.
    name: str
    #: Where it is: the address of a file, or a list with the reference of a block. Ray would
    #: fetch the block before the task runs if the reference stood alone.
    file: str | None = None
    block: Sequence[Any] = ()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows."""
        if self.file is not None:
            yield from _file_batches(self.file)
            return
        ray = package("ray", "ray")
        table: pa.Table = ray.get(self.block[0])
        yield from table.to_batches(max_chunksize=BATCH_ROWS)


def pieces(source: Any) -> tuple[list[Piece], dict[str, Any]]:
    """The parts of a source, and what tells it from another one."""
    if hasattr(source, "to_arrow_refs"):
        blocks = source.to_arrow_refs()
        found = [Piece(f"block {at} of the dataset", block=[ref]) for at, ref in enumerate(blocks)]
        return found, {"dataset": str(source.schema()), "rows": source.count()}
    listed = [source] if isinstance(source, (str, os.PathLike)) else source
    if not isinstance(listed, Sequence):
        kind = type(source).__name__
        expected = "give Parquet files (a path, a pattern, or a list of them), or a Ray dataset"
        raise InvalidTypeError(f"source is a {kind}; {expected}")
    files = [file for path in listed for file in _files(os.fspath(path))]
    if not files:
        raise InvalidInputError(f"there are no Parquet files in {source!r}")
    names = [{"file": name, "bytes": size} for name, size in files]
    return [Piece(name, file=name) for name, _ in files], {"files": names}


def _files(path: str) -> list[tuple[str, int]]:
    """The Parquet files that a path, a directory or a pattern names, with their sizes, sorted."""
    fsspec = package("fsspec", "ray")
    fs, root = fsspec.core.url_to_fs(path)
    if fs.isdir(root):
        root = f"{root.rstrip('/')}/**/*.parquet"
    found = fs.glob(root, detail=True) if any(sign in root for sign in "*?[") else None
    if found is None:
        found = {root: fs.info(root)} if fs.exists(root) else {}
    if not found:
        raise NotFoundError(f"there is no Parquet file at {path}")
    return [(fs.unstrip_protocol(name), int(found[name]["size"])) for name in sorted(found)]


def _file_batches(file: str) -> Iterator[pa.RecordBatch]:
    fsspec = package("fsspec", "ray")
    parquet = package("pyarrow.parquet", "ray")
    pyarrow = package("pyarrow", "ray")
    with fsspec.open(file, "rb") as opened:
        try:
            table = parquet.ParquetFile(opened)
            empty = True
            for batch in table.iter_batches(BATCH_ROWS):
                empty = False
                yield batch
            if empty:
                yield pyarrow.RecordBatch.from_pylist([], schema=table.schema_arrow)
        except (pyarrow.ArrowInvalid, OSError) as error:
            what = f"{file} cannot be read as Parquet: {error}"
            raise InvalidInputError(what) from error


def checked(batch: pa.RecordBatch, columns: Columns, name: str) -> None:
    """Raises if a batch has not the columns that a build needs."""
    for column in (columns.id, columns.vector):
        if column not in batch.schema.names:
            known = ", ".join(batch.schema.names)
            raise NotFoundError(f"{name} has no column {column!r}; there are: {known}")
    ids = batch.column(columns.id)
    if ids.null_count:
        raise InvalidInputError(f"{name}: the column {columns.id!r} has nulls; give each row an id")
    if not _are_ids(ids.type):
        what = f"{name}: the column {columns.id!r} has the type {ids.type}"
        raise InvalidTypeError(f"{what}; ids are integers or strings")


def _are_ids(kind: pa.DataType) -> bool:
    types = package("pyarrow.types", "ray")
    if types.is_dictionary(kind):
        kind = kind.value_type
    kinds = (types.is_integer, types.is_string, types.is_large_string, types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)


def ids_of(batch: pa.RecordBatch, columns: Columns) -> NDArray[Any]:
    """The ids of a batch: integers, or strings as objects."""
    ids: NDArray[Any] = batch.column(columns.id).to_numpy(zero_copy_only=False)
    return ids


def vectors(batch: pa.RecordBatch, columns: Columns, name: str) -> NDArray[np.float32]:
    """The vectors of a batch, of shape (n, dim)."""
    dim = dim_of(batch, columns, name)
    values = batch.column(columns.vector).flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float32] = values.astype(np.float32, copy=False)
    return matrix.reshape(batch.num_rows, dim)


def dim_of(batch: pa.RecordBatch, columns: Columns, name: str) -> int:
    """The length of all vectors of a batch; 0 if it has none."""
    column = batch.column(columns.vector)
    if column.null_count:
        what = f"{name}: the column {columns.vector!r} has nulls"
        raise InvalidInputError(f"{what}; give each row a vector")
    if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
        what = f"{name}: the column {columns.vector!r} has the type {column.type}"
        raise InvalidTypeError(f"{what}; expected lists of numbers")
    if not len(column):
        return 0
    lengths = getattr(column, "value_lengths", None)
    if lengths is not None and not hasattr(column.type, "list_size"):
        found = lengths().to_numpy(zero_copy_only=False)
        odd = np.flatnonzero(found != found[0])
        if len(odd):
            what = f"{name}: a vector has {found[odd[0]]} values, the first of its batch {found[0]}"
            raise DimensionError(f"{what}; give all rows one length")
    return len(column.flatten()) // len(column)
