"""Damaged databases are repaired, and what is lost is told."""

from __future__ import annotations

import pathlib

import pytest
from conftest import made

import loomdb

ROWS = made(500, 16)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A database of 500 points in one segment."""
    path = tmp_path / "my.loom"
    with loomdb.open(path) as db:
        db.collection("docs", metric="l2").add(list(range(len(ROWS))), ROWS)
        db.commit()
    return path


def damage(path: pathlib.Path) -> None:
    """Flips bits in the middle of the vectors."""
    [vectors] = path.rglob("seg-*/vectors.npy")
    content = bytearray(vectors.read_bytes())
    content[len(content) // 2] ^= 0xFF
    vectors.write_bytes(content)


def points_of(path: pathlib.Path) -> set[int]:
    with loomdb.open(path) as db:
        assert db.check()["findings"] == []
        return {point.id for point in db["docs"] if (point.vector == ROWS[point.id]).all()}


def test_a_sound_database_is_left_alone(path: pathlib.Path) -> None:
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    report = loomdb.repair(path)
    assert not report["is_changed"] and report["losses"] == []
    assert report["collections"] == [{"name": "docs", "points": len(ROWS)}]
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("is_in_place", [True, False])
def test_what_is_sound_is_saved(path: pathlib.Path, is_in_place: bool) -> None:
    damage(path)
    to = None if is_in_place else path.with_name("repaired.loom")
    report = loomdb.repair(path, to=to)
    assert report["is_changed"]
    assert pathlib.Path(report["database"]) == (to or path)
    assert pathlib.Path(report["damaged"]).is_dir()
    kept = points_of(to or path)
    lost = sum(loss["points"] for loss in report["losses"])
    assert report["collections"] == [{"name": "docs", "points": len(kept)}]
    assert lost > 0 and len(kept) + lost == len(ROWS)


def test_a_lost_manifest_needs_the_metric(path: pathlib.Path) -> None:
    for manifest in path.glob("manifest-*"):
        manifest.unlink()
    with pytest.raises(loomdb.InvalidInputError, match="metric"):
        loomdb.repair(path)
    with pytest.raises(loomdb.InvalidInputError, match="euclid"):
        loomdb.repair(path, metric="euclid")  # type: ignore[arg-type]
    report = loomdb.repair(path, metric="l2")
    assert sum(collection["points"] for collection in report["collections"]) == len(ROWS)


def test_what_cannot_be_repaired_is_told(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(loomdb.MissingFileError):
        loomdb.repair(tmp_path / "nothing.loom")
    with loomdb.open(path), pytest.raises(loomdb.LockedError):
        loomdb.repair(path)
    damage(path)
    with pytest.raises(loomdb.ExistsError):
        loomdb.repair(path, to=tmp_path)
    with pytest.raises(TypeError, match="'metrik'; use 'metric'"):
        loomdb.repair(path, metrik="l2")
