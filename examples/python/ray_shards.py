"""Shards on Ray: build them in parallel, serve them from actors, bring them back together.

Run it with `pip install "loomdb[ray]"` and `python examples/python/ray_shards.py`. It starts a
cluster of two nodes with one CPU each on this machine.
"""

import os
import tempfile

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import loomdb
import loomdb.ray
import pyarrow
import pyarrow.parquet
import ray
from ray.cluster_utils import Cluster
from wordnet import definitions, queries, short

texts, vectors = definitions()
query_texts, query_vectors = queries()

node = {"num_cpus": 1, "object_store_memory": 150_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
cluster.add_node(**node)
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")

with tempfile.TemporaryDirectory() as directory:
    # Embeddings usually come as many files, from a job that ran on the same cluster.
    os.mkdir(f"{directory}/embeddings")
    for part, start in enumerate(range(0, len(texts), 1250)):
        rows = slice(start, start + 1250)
        table = pyarrow.table(
            {"id": range(start, start + 1250), "vector": list(vectors[rows]), "text": texts[rows]}
        )
        pyarrow.parquet.write_table(table, f"{directory}/embeddings/part-{part}.parquet")

    # One task for each shard. When this is stopped, the same call goes on where it was.
    built = loomdb.ray.build(f"{directory}/embeddings", f"{directory}/shards", shards=4)
    print(built)

    # Actors share the shards, one for each node; Ray restarts those that die.
    with loomdb.ray.serve(f"{directory}/shards", cpus=0.25) as service:
        print(f"? {short(query_texts[0])}")
        for hit in service.search(query_vectors[0], k=3, deadline=30):
            print(f"  {hit.distance:.2f}  {short(hit.metadata['text'])}")

    # The same shards without Ray, in one process.
    with loomdb.ShardedCollection(f"{directory}/shards") as docs:
        print(docs)
        print(docs.search(query_vectors, k=10).ids.shape)

    # And as one database, built as one batch.
    print(loomdb.merge_shards(f"{directory}/shards", f"{directory}/one.loom").points, "points")

ray.shutdown()
cluster.shutdown()
