"""Shards built and served on a real local cluster of Ray: two nodes of one CPU each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import loomdb
import loomdb.ray
from loomdb.ray._engine import finished, results, task
from loomdb.shards import (
    Manifest,
    Place,
    ShardedCollection,
    build_shard,
    merge_shards,
    shard_name,
    shard_of,
)
from loomdb.shards._assign import centers_of, nearest_centers

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

Array = NDArray[np.float32]

ROWS, DIM, FILES, SHARDS = 6_000, 32, 3, 4


def made_table(rows: int, seed: int, dim: int = DIM) -> pa.Table:
    random = np.random.default_rng(seed)
    centers = np.random.default_rng(0).normal(size=(30, dim)) * 2
    vectors = centers[random.integers(30, size=rows)] + random.normal(size=(rows, dim))
    values = pa.array(vectors.astype(np.float32).ravel())
    ids = [f"{seed}-{number}" for number in range(rows)]
    vectors = pa.FixedSizeListArray.from_arrays(values, dim)
    return pa.table({"id": ids, "vector": vectors, "year": random.integers(2000, 2025, size=rows)})


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    node: Any = {"num_cpus": 1, "object_store_memory": 150_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def tables() -> list[pa.Table]:
    return [made_table(ROWS // FILES, seed) for seed in range(FILES)]


@pytest.fixture(scope="session")
def files(tables: list[pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("embeddings")
    for number, table in enumerate(tables):
        pq.write_table(table, directory / f"part-{number}.parquet")
    return directory


@pytest.fixture(scope="session")
def queries() -> Array:
    column = made_table(40, seed=99).column("vector").combine_chunks()
    rows: Array = column.flatten().to_numpy().reshape(-1, DIM)
    return rows


@pytest.fixture(scope="session")
def single(tables: list[pa.Table]) -> loomdb.Collection:
    docs = loomdb.open(":memory:").collection("docs")
    docs.add(pa.concat_tables(tables))
    return docs


@pytest.fixture(scope="session")
def built(cluster: Cluster, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built")
    steps: list[tuple[str, int, int]] = []
    manifest = loomdb.ray.build(
        files, out, shards=SHARDS, progress=lambda *step: steps.append(step)
    )
    assert manifest.points == ROWS and not manifest.missing
    assert steps[-1] == ("build", SHARDS, SHARDS) and ("split", FILES, FILES) in steps
    return out


def same(one: Any, many: Any) -> None:
    assert (one.ids == many.ids).all()
    assert (one.distances == many.distances).all()


def recall(found: Any, truth: Any) -> float:
    pairs = zip(found.ids, truth.ids, strict=True)
    return float(np.mean([len(set(ids) & set(exact)) / len(exact) for ids, exact in pairs]))


def test_shards_answer_as_one_collection(
    built: Path, single: loomdb.Collection, queries: Array
) -> None:
    with ShardedCollection(built) as sharded:
        for filter in (None, {"year": {"$lt": 2010}}):
            exact = single.search(queries, filter=filter, exact=True)
            same(exact, sharded.search(queries, filter=filter, exact=True))
        truth = single.search(queries, exact=True)
        assert recall(sharded.search(queries), truth) >= recall(single.search(queries), truth)


def test_a_service_answers_as_one_collection(
    built: Path, single: loomdb.Collection, queries: Array
) -> None:
    with loomdb.ray.serve(built, cpus=0.25) as service:
        same(single.search(queries, exact=True), service.search(queries, exact=True))
        filter = {"year": 2011}
        one = single.search(queries[0], k=4, filter=filter, exact=True)
        hits = service.search(queries[0], k=4, filter=filter, exact=True, deadline=60)
        same(one, hits)
        assert hits.to_list() == one.to_list() and hits.missing == ()
        assert service.count(filter) == single.count(filter) and len(service) == ROWS
        with pytest.raises(loomdb.FilterError, match="year"):
            service.search(queries[0], filter={"yeer": 1})
        with pytest.raises(loomdb.DimensionError):
            service.search(queries[0][:3])


@pytest.mark.parametrize("actors", [3, 99])
def test_actors_share_the_shards(
    actors: int, built: Path, single: loomdb.Collection, queries: Array
) -> None:
    with loomdb.ray.serve(built, cpus=0.1, actors=actors, replicas=2) as service:
        assert f"actors={2 * min(actors, SHARDS)}" in repr(service)
        for _ in range(2):  # The replicas take turns.
            same(single.search(queries, exact=True), service.search(queries, exact=True))


def test_points_are_found_by_their_ids(
    built: Path, single: loomdb.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [point.id for point in single]
    wanted = [*ids[::7], "nowhere", *ids[::-5]]
    expected = single.get(wanted)
    with ShardedCollection(built) as sharded:
        assert sharded.get(wanted) == expected
    with loomdb.ray.serve(built, cpus=0.25) as service:
        assert service.get(wanted) == expected
        assert service.get(ids[3]) == single[ids[3]]
        assert ids[4] in service and "nowhere" not in service
        asked: list[int] = []
        ask = service._ask

        def noted(method: str, given: Any) -> Any:
            asked.extend(given)
            return ask(method, given)

        monkeypatch.setattr(service, "_ask", noted)
        service.get(ids[5])
        assert asked == [shard_of([ids[5]], SHARDS)[0]]


def test_a_dataset_is_built_as_files_are(
    cluster: Cluster, files: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    dataset = ray.data.read_parquet(str(files))
    loomdb.ray.build(dataset, tmp_path / "out", shards=2)
    with ShardedCollection(tmp_path / "out") as sharded:
        same(single.search(queries, exact=True), sharded.search(queries, exact=True))


def test_clusters_are_probed(
    cluster: Cluster, files: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    loomdb.ray.build(files, tmp_path / "out", shards=SHARDS, assign="cluster")
    truth = single.search(queries, exact=True)
    with ShardedCollection(tmp_path / "out") as sharded:
        same(truth, sharded.search(queries, exact=True))
        recalls = [recall(sharded.search(queries, exact=True, probe=n), truth) for n in (1, 2, 4)]
        assert recalls == sorted(recalls) and recalls[0] > 0.7 and recalls[-1] == 1.0
    with loomdb.ray.serve(tmp_path / "out", cpus=0.25) as service:
        same(sharded_probe(tmp_path / "out", queries), service.search(queries, probe=2))


def sharded_probe(out: Path, queries: Array) -> Any:
    with ShardedCollection(out) as sharded:
        return sharded.search(queries, probe=2)


def test_a_killed_build_goes_on_and_keeps_what_is_finished(
    cluster: Cluster, files: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = f"""
import os, signal, ray, loomdb.ray
ray.init(address={cluster.address!r}, log_to_driver=False)
def stop(phase, done, total):
    if phase == "build" and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
loomdb.ray.build({str(files)!r}, {str(out)!r}, shards={SHARDS}, progress=stop)
"""
    ended = subprocess.run([sys.executable, "-c", driver], check=False)
    assert ended.returncode == -signal.SIGKILL
    half = Manifest.load(out)
    assert len(half.missing) == SHARDS - 2
    inodes = {shard.name: (out / shard.name).stat().st_ino for shard in half.shards if shard}
    with pytest.raises(loomdb.ExistsError, match="metric"):
        loomdb.ray.build(files, out, shards=SHARDS, metric="l2")
    manifest = loomdb.ray.build(files, out, shards=SHARDS)
    assert not manifest.missing
    assert {name: (out / name).stat().st_ino for name in inodes} == inodes
    with ShardedCollection(out) as sharded:
        same(single.search(queries, exact=True), sharded.search(queries, exact=True))


def test_a_build_that_goes_on_builds_shards_that_were_lost_or_replaced(
    built: Path, files: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(built, tmp_path / "out"))
    shutil.rmtree(out / shard_name(1))
    shutil.rmtree(out / shard_name(3))
    shutil.copytree(out / shard_name(0), out / shard_name(3))
    kept = {number: (out / shard_name(number)).stat().st_ino for number in (0, 2)}
    steps: list[tuple[str, int, int]] = []
    loomdb.ray.build(files, out, shards=SHARDS, progress=lambda *step: steps.append(step))
    assert [step for step in steps if step[0] == "build"] == [("build", 3, 4), ("build", 4, 4)]
    assert {number: (out / shard_name(number)).stat().st_ino for number in kept} == kept
    with ShardedCollection(out) as sharded:
        same(single.search(queries, exact=True), sharded.search(queries, exact=True))


def processes(name: str) -> list[int]:
    """The processes of Ray that run what is called so."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            title = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(f"ray::{name}".encode()):
            found.append(int(entry.name))
    return found


def test_a_killed_worker_is_replaced(
    cluster: Cluster, files: Path, single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(phase: str, done: int, total: int) -> None:
        if phase == "build" and not killed:
            deadline = time.monotonic() + 10
            while not killed and time.monotonic() < deadline:
                for process in processes("_build_piece"):
                    os.kill(process, signal.SIGKILL)
                    killed.append(process)

    out = tmp_path / "out"
    manifest = loomdb.ray.build(files, out, shards=12, progress=kill)
    assert killed and not manifest.missing
    with ShardedCollection(out) as sharded:
        same(single.search(queries, exact=True), sharded.search(queries, exact=True))


def process_of(service: loomdb.ray.Service, group: int) -> int:
    process: int = ray.get(service._groups[group].next().ready.remote())
    return process


def test_a_killed_server_is_restarted_and_the_query_answered(
    built: Path, single: loomdb.Collection, queries: Array
) -> None:
    truth = single.search(queries, exact=True)
    with loomdb.ray.serve(built, cpus=0.25) as service:
        victim = process_of(service, 0)
        same(truth, service.search(queries, exact=True))
        os.kill(victim, signal.SIGKILL)
        same(truth, service.search(queries, exact=True))
        assert process_of(service, 0) != victim


def test_a_slow_shard_is_named_at_the_deadline(
    built: Path, single: loomdb.Collection, queries: Array
) -> None:
    with loomdb.ray.serve(built, cpus=0.25, actors=SHARDS) as service:
        service.search(queries[0])
        slow = process_of(service, 1)
        os.kill(slow, signal.SIGSTOP)
        try:
            with pytest.raises(loomdb.DeadlineError, match="shard-00001"):
                service.search(queries[0], deadline=1.0)
            started = time.monotonic()
            hits = service.search(queries[0], exact=True, deadline=1.0, partial="allow")
            assert time.monotonic() - started < 5
            assert hits.missing == ("shard-00001",) and len(hits) == 10
            truth = single.search(queries[0], k=40, exact=True).ids.tolist()
            assert [id for id in truth if id in set(hits.ids)] == hits.ids.tolist()
        finally:
            os.kill(slow, signal.SIGCONT)
        assert service.search(queries[0], deadline=30).missing == ()


def test_a_damaged_shard_is_refused_by_its_name(built: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(built, tmp_path / "copy")
    [vectors] = (copied / "shard-00002").rglob("vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[-5] ^= 64
    vectors.write_bytes(content)
    with pytest.raises(loomdb.CorruptionError, match="shard-00002"):
        loomdb.ray.serve(copied, cpus=0.25)


@pytest.mark.parametrize("assign", ["hash", "cluster"])
def test_a_file_with_other_dimensions_is_named(
    cluster: Cluster, tables: list[pa.Table], assign: Any, tmp_path: Path
) -> None:
    pq.write_table(tables[0], tmp_path / "good.parquet")
    pq.write_table(made_table(50, seed=7, dim=DIM + 1), tmp_path / "odd.parquet")
    with pytest.raises(loomdb.DimensionError, match=r"odd\.parquet has vectors of 33"):
        loomdb.ray.build(tmp_path, tmp_path / "out", shards=2, assign=assign)


@pytest.mark.parametrize("assign", ["hash", "cluster"])
def test_an_id_that_is_there_twice_is_refused(
    cluster: Cluster, tables: list[pa.Table], assign: Any, tmp_path: Path
) -> None:
    pq.write_table(tables[0], tmp_path / "one.parquet")
    # With the opposite vector, which another cluster has.
    vectors = tables[0].column("vector")
    opposite = pa.array([[-value for value in vectors[5].as_py()]], vectors.type)
    row = pa.table({"id": tables[0].column("id").slice(5, 1), "vector": opposite})
    pq.write_table(row, tmp_path / "two.parquet")
    with pytest.raises(loomdb.InvalidInputError, match="same id|twice"):
        loomdb.ray.build(tmp_path, tmp_path / "out", shards=2, assign=assign)


def test_wrong_sources_are_refused(cluster: Cluster, files: Path, tmp_path: Path) -> None:
    with pytest.raises(loomdb.NotFoundError, match="nowhere"):
        loomdb.ray.build(tmp_path / "nowhere.parquet", tmp_path / "out", shards=2)
    with pytest.raises(loomdb.NotFoundError, match="embedding"):
        loomdb.ray.build(files, tmp_path / "out", shards=2, vector="embedding")
    with pytest.raises(loomdb.InvalidInputError, match="shards"):
        loomdb.ray.build(files, tmp_path / "out", shards=0)
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(loomdb.InvalidInputError, match=r"text\.parquet"):
        loomdb.ray.build(tmp_path / "text.parquet", tmp_path / "out", shards=2)


@pytest.mark.parametrize("num_returns", [1, 3])
def test_errors_of_tasks_are_values_which_ray_does_not_log(
    cluster: Cluster, num_returns: int
) -> None:
    def refuse() -> None:
        raise loomdb.InvalidInputError("no")

    returned: Any = task(refuse, num_returns=num_returns).remote()
    references = [returned] if num_returns == 1 else returned
    assert [str(error) for error in ray.get(references)] == ["no"] * num_returns
    with pytest.raises(loomdb.InvalidInputError, match="no"):
        results(references[:1])


def test_tasks_are_started_while_the_cluster_has_room(cluster: Cluster) -> None:
    started: list[int] = []

    def starts() -> Iterator[list[Any]]:
        double = task(lambda number: 2 * number)
        for number in range(30):
            started.append(number)
            yield [double.remote(number)]

    tasks = finished(starts())
    next(tasks)
    assert len(started) == 5  # As many as two CPUs run, as many waiting, one handed in.
    doubled = {number: results(references) for number, references in tasks}
    assert len(doubled) == 29 and all([2 * number] == value for number, value in doubled.items())


def test_the_nearest_centers_are_the_nearest(tables: list[pa.Table]) -> None:
    column = tables[0].column("vector").combine_chunks()
    vectors = column.flatten().to_numpy().reshape(-1, DIM)
    centers = centers_of(vectors, 6, "l2", seed=1)
    distances = np.linalg.norm(vectors[:, None] - centers[None], axis=2)
    assert (nearest_centers(vectors, centers, "l2", 3) == distances.argsort(axis=1)[:, :3]).all()


def test_shards_in_an_object_store_are_sent_and_fetched(
    tables: list[pa.Table], single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    place = Place("memory://store/docs")
    with place.building("shard-00000") as out:
        info = build_shard(tables, out)
    Manifest("cosine", (info,)).save(place)
    for _ in range(2):  # The second time from the cache.
        with ShardedCollection("memory://store/docs", cache=tmp_path) as sharded:
            same(single.search(queries, exact=True), sharded.search(queries, exact=True))
    [vectors] = tmp_path.rglob("vectors.npy")
    vectors.write_bytes(vectors.read_bytes()[:-8])
    with ShardedCollection("memory://store/docs", cache=tmp_path) as sharded:
        same(single.search(queries, exact=True), sharded.search(queries, exact=True))
    with pytest.raises(loomdb.MissingFileError, match="nowhere"):
        ShardedCollection("memory://nowhere")


def send(table: pa.Table, address: str, shards: int) -> None:
    """Builds shards here and puts them at an address."""
    place = Place(address)
    manifest = Manifest("cosine", (None,) * shards, "hash")
    assigned = shard_of(table.column("id").to_pylist(), shards)
    for number in range(shards):
        with place.building(shard_name(number)) as out:
            info = build_shard(table.take(np.flatnonzero(assigned == number)), out)
        manifest = manifest.with_shard(number, info)
    manifest.save(place)


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_shards_at_an_address_are_merged(
    scheme: str, tables: list[pa.Table], single: loomdb.Collection, queries: Array, tmp_path: Path
) -> None:
    address = f"{scheme}://{tmp_path}/far"
    send(pa.concat_tables(tables), address, 3)
    info = merge_shards(address, tmp_path / "one", cache=tmp_path / "cache")
    assert info.points == ROWS
    with loomdb.open(tmp_path / "one", read_only=True) as db:
        same(single.search(queries, exact=True), db["default"].search(queries, exact=True))
        point = db["default"]["1-17"]
        assert point == single["1-17"]


def test_damage_at_an_address_is_refused_by_its_name(
    tables: list[pa.Table], tmp_path: Path
) -> None:
    address = f"file://{tmp_path}/far"
    send(tables[0], address, 3)
    [vectors] = (tmp_path / "far" / shard_name(1)).rglob("vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[-5] ^= 64
    vectors.write_bytes(content)
    with pytest.raises(loomdb.CorruptionError, match="shard-00001"):
        merge_shards(address, tmp_path / "one", cache=tmp_path / "cache")
    assert not (tmp_path / "one").exists()
