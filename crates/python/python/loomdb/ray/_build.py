"""Building shards on Ray: split tasks assign the rows, one task for each shard builds it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _progress
from .._results import package
from ..errors import (
    DimensionError,
    ExistsError,
    Error,
    InvalidInputError,
    MissingFileError,
)
from ..shards import Manifest, ShardInfo, _assign, build_shard
from ..shards._files import Place
from ..shards._manifest import shard_name
from ..shards._shard import is_there
from ._engine import finished, results, task
from ._source import Columns, Piece, checked, dim_of, ids_of, pieces, vectors

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from .._types import Metric, Progress

#: Rows of the sample that centers are found in, for each shard.
_SAMPLE_ROWS = 256


@dataclass(frozen=True)
class _Plan:
    """What all tasks of a build are told."""

    columns: Columns
    metric: Metric
    shards: int
    #: The shards that are still to be built.
    wanted: tuple[int, ...]
    #: Empty when points are assigned by the hash of their ids.
    centers: tuple[tuple[float, ...], ...]

    def assigned(self, batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
        """The shard of each row."""
        if self.centers and batch.num_rows:
            rows = vectors(batch, self.columns, name)
            centers = np.asarray(self.centers, dtype=np.float32)
            if rows.shape[1] == centers.shape[1]:
                return _assign.nearest_centers(rows, centers, self.metric, 1)[:, 0]
        return _assign.shard_of(ids_of(batch, self.columns), self.shards)


def build(
    source: Any,
    out: str | os.PathLike[str],
    *,
    shards: int,
    id: str = "id",
    vector: str = "vector",
    metric: Metric = "cosine",
    assign: Literal["hash", "cluster"] = "hash",
    resume: bool = True,
    progress: Progress = None,
    m: int = 16,
    ef_construction: int = 200,
    threads: int = 1,
    seed: int = 0,
) -> Manifest:
    """Builds shards from Parquet files or a Ray dataset, and the manifest that names them.

    Each shard is a task of Ray, which repeats it when its worker dies. A build that was stopped
    goes on where it was: finished shards are kept.

    Args:
        source: Parquet files (a path, a directory, a pattern, or a list of them; also addresses
            that fsspec knows), or a `ray.data.Dataset`.
        out: Where the shards are put: a directory that all workers share, or an address.
        shards: How many.
        id: The column of the ids, which tell points apart in all shards.
        vector: The column of the vectors; all other columns are metadata.
        metric: `"cosine"`, `"l2"` or `"ip"`.
        assign: `"hash"` spreads the points evenly; every shard is asked for every query.
            `"cluster"` keeps near points together, so that a query may `probe` a few shards.
        resume: Whether to go on with what `out` holds, and build only the shards that are not
            there. `False` builds everything anew.
        progress: `True` for a progress bar, or a function of phase, steps done, and all steps.
        m: Links of a node of the graphs.
        ef_construction: The beam width of the searches that link a single row.
        threads: CPUs of a task that builds a shard.
        seed: Where the choice of the centers comes from.

    Raises:
        ExistsError: `out` holds a build of something else, and `resume` is set.
        DimensionError: A file has vectors of another length; it is named.
        InvalidInputError: An id is there twice.
    """
    _check(shards, assign)
    package("ray", "ray")
    columns = Columns(id, vector)
    parts, told = pieces(source)
    graph = {"m": m, "ef_construction": ef_construction}
    recipe = {"source": told, "id": id, "vector": vector, "seed": seed, **graph}
    place = Place(out)
    place.sweep()
    started = _started(place, Manifest(metric, (None,) * shards, assign, (), recipe), resume)
    with _progress.shown(progress) as show:
        if assign == "cluster" and not started.centers:
            started = _with_centers(started, parts, columns, seed)
        started.save(place)
        if not started.missing:
            return started
        wanted = tuple(started.missing)
        plan = _Plan(columns, metric, shards, wanted, started.centers)
        split = _split(parts, plan, show)
        options = {"id": id, "vector": vector, "metric": metric, "threads": threads, **graph}
        return _finish(place, started, (wanted, split), (options, show))


def _check(shards: int, assign: str) -> None:
    if shards < 1:
        raise InvalidInputError(f"shards is {shards}; expected 1 or more")
    if assign not in ("hash", "cluster"):
        raise InvalidInputError(f"assign is {assign!r}; expected 'hash' or 'cluster'")


def _started(place: Place, asked: Manifest, resume: bool) -> Manifest:
    """What there is of a build already."""
    if not resume:
        return asked
    try:
        there = Manifest.load(place)
    except MissingFileError:
        return asked
    if len(there.missing) == len(there.shards):
        return asked  # It stopped before anything was made.
    for name in ("metric", "assign", "recipe"):
        if getattr(there, name) != getattr(asked, name):
            differs = f"its {name} differs"
            break
    else:
        if len(there.shards) == len(asked.shards):
            return _without_lost(place, there)
        differs = f"it has {len(there.shards)} shards"
    what = f"{place.path} holds another build: {differs}"
    raise ExistsError(f"{what}; choose another place, or give resume=False to replace it")


def _without_lost(place: Place, there: Manifest) -> Manifest:
    """The manifest without the shards that are not there any more, or were replaced."""
    kept = (shard if shard and is_there(place, shard) else None for shard in there.shards)
    return replace(there, shards=tuple(kept))


def _with_centers(
    started: Manifest,
    parts: list[Piece],
    columns: Columns,
    seed: int,
) -> Manifest:
    """The manifest with the centers of a sample of the rows."""
    count = len(started.shards)
    rows = -(-_SAMPLE_ROWS * count // len(parts))
    sample = task(_sample)
    found = results([sample.remote(part, columns, rows, seed) for part in parts])
    sizes = {rows.shape[1] for rows in found if len(rows)}
    if len(sizes) > 1:
        _check_dims([(part.name, rows.shape[1], len(rows)) for part, rows in zip(parts, found)])
    filled = [rows for rows in found if len(rows)]
    if sum(map(len, filled)) < count:
        raise InvalidInputError(f"the source has too few points for {count} clusters")
    centers = _assign.centers_of(np.concatenate(filled), count, started.metric, seed)
    return replace(started, centers=tuple(map(tuple, centers.tolist())))


def _split(parts: list[Piece], plan: _Plan, show: Callable[..., object] | None) -> list[list[Any]]:
    """References of the rows of each wanted shard, one for each part of the source."""
    split = task(_split_piece, num_returns=1 + len(plan.wanted))
    starts = (split.remote(part, plan) for part in parts)
    split_up: dict[int, list[Any]] = {}
    summaries: dict[int, Any] = {}
    for number, (summary, *rows) in finished(starts):
        [summaries[number]] = results([summary])
        split_up[number] = rows
        if show is not None:
            show("split", len(split_up), len(parts))
    told = [summaries[number] for number in range(len(parts))]
    _check_dims([(part.name, dim, rows) for part, (dim, rows, _) in zip(parts, told)])
    if plan.centers:
        # The hash of an id brings it to the shard where the same id is; a cluster may not.
        _check_ids([ids for _, _, ids in told])
    # In the order of the parts, whichever was done first.
    outcomes = [split_up[number] for number in range(len(parts))]
    return [[rows[at] for rows in outcomes] for at in range(len(plan.wanted))]


def _check_dims(found: list[tuple[str, int, int]]) -> None:
    filled = [(name, dim) for name, dim, rows in found if rows]
    if not filled:
        raise InvalidInputError("the source has no rows")
    first, expected = filled[0]
    for name, dim in filled:
        if dim != expected:
            what = f"{name} has vectors of {dim} values, {first} of {expected}"
            raise DimensionError(f"{what}; give all files one length")


def _check_ids(hashes: list[NDArray[np.uint64]]) -> None:
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    if (counts > 1).any():
        count = int((counts > 1).sum())
        what = f"{count} ids are there twice, in different rows"
        raise InvalidInputError(f"{what}; give each an id of its own (assign='hash' names one)")


def _finish(
    place: Place,
    manifest: Manifest,
    split: tuple[tuple[int, ...], list[list[Any]]],
    how: tuple[dict[str, Any], Callable[..., object] | None],
) -> Manifest:
    """Builds the shards, and notes each when it is finished."""
    ray = package("ray", "ray")
    options, show = how
    build_one = task(_build_piece, num_cpus=options["threads"])
    running = {}
    for number, rows in zip(*split, strict=True):
        running[build_one.remote(place.path, shard_name(number), rows, options)] = number
    failure: Error | None = None
    while running:
        [ready], _ = ray.wait(list(running), num_returns=1)
        number = running.pop(ready)
        try:
            [info] = results([ready])
        except Error as error:
            # Others may still be finished, and need not be built again.
            failure = failure or error
            continue
        manifest = manifest.with_shard(number, info)
        manifest.save(place)
        if show is not None:
            show("build", len(manifest.shards) - len(manifest.missing), len(manifest.shards))
    if failure is not None:
        raise failure
    return manifest


def _sample(piece: Piece, columns: Columns, rows: int, seed: int) -> NDArray[np.float32]:
    """Some vectors of a part of the source, chosen at random."""
    seen = []
    for batch in piece.batches():
        checked(batch, columns, piece.name)
        seen.append(vectors(batch, columns, piece.name))
    found = np.concatenate(seen) if seen else np.empty((0, 0), np.float32)
    chosen = np.random.default_rng(seed).permutation(len(found))[:rows]
    return found[np.sort(chosen)]


def _split_piece(piece: Piece, plan: _Plan) -> tuple[Any, ...]:
    """The dimension, the number of rows and hashes of the ids; then the rows of each shard."""
    pyarrow = package("pyarrow", "ray")
    rows_of: list[list[Any]] = [[] for _ in plan.wanted]
    hashes, dim, count = [], 0, 0
    for batch in piece.batches():
        checked(batch, plan.columns, piece.name)
        dim = dim_of(batch, plan.columns, piece.name) or dim
        count += batch.num_rows
        if plan.centers:
            hashes.append(_assign.hashed(ids_of(batch, plan.columns)))
        assigned = plan.assigned(batch, piece.name)
        for rows, shard in zip(rows_of, plan.wanted, strict=True):
            # Empty parts bring the columns along: all shards know all fields.
            mine = np.flatnonzero(assigned == shard)
            rows.append(batch.take(pyarrow.array(mine)))
    ids = np.concatenate(hashes) if hashes else np.empty(0, np.uint64)
    tables = (pyarrow.Table.from_batches(rows) for rows in rows_of)
    return ((dim, count, ids), *tables)


def _build_piece(place: str, name: str, rows: list[Any], options: dict[str, Any]) -> ShardInfo:
    """Builds one shard from its rows in all parts of the source."""
    ray = package("ray", "ray")
    batches = (ray.get(reference) for reference in rows)
    with Place(place).building(name) as out:
        try:
            return build_shard(batches, out, **options)
        except Error as error:
            error.args = (f"{name}: {error}",)
            raise
