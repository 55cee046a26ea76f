"""Shards built and served on Ray, the engine that many compute their embeddings on.

`build` turns Parquet files or a Ray dataset into shards, one task for each; `serve` holds them in
actors and searches them. Scheduling, retries and restarts are Ray's. Install it with
`pip install "loomdb[ray]"`; a search on one machine needs only `loomdb.ShardedCollection`.
"""

from ._build import build
from ._serve import ServedHits, ServedManyHits, Service, serve

__all__ = ["ServedHits", "ServedManyHits", "Service", "build", "serve"]
