"""Moving from hnswlib: the bare index, and when a collection is worth it.

    hnswlib                                      loomdb
    index = hnswlib.Index("cosine", dim)         loomdb.Index.build(vectors, metric="cosine",
    index.init_index(n, ef_construction=200,         m=16, ef_construction=200)
                     M=16)
    index.add_items(vectors)
    index.set_ef(100)
    labels, distances =                          found = index.search(queries, k=10,
        index.knn_query(queries, k=10)               ef_search=100)
    index.save_index(path)                       index.save(path)
    index.load_index(path)                       loomdb.Index.load(path)

An index of hnswlib gives its vectors back with `index.get_items(ids)`, which is all that a move
needs. Distances of "l2" are squared there, and are the true Euclidean distances here.
"""

import tempfile

import loomdb
import numpy as np
from wordnet import definitions, queries

texts, vectors = definitions()
_, query_vectors = queries()

# All vectors are given at once, because a graph is built faster as a whole than row by row.
index = loomdb.Index.build(vectors, metric="cosine", m=16, ef_construction=200)
found = index.search(query_vectors, k=10, ef_search=100)
truth = index.search(query_vectors, k=10, exact=True)
recall = np.mean([len(set(one) & set(two)) / 10 for one, two in zip(found.ids, truth.ids)])
print(f"{len(index)} rows, recall@10 of 50 queries above 0.97:", recall > 0.97)

with tempfile.TemporaryDirectory() as directory:
    index.save(f"{directory}/index.loom")
    again = loomdb.Index.load(f"{directory}/index.loom")
    same = np.array_equal(again.search(query_vectors, k=10, ef_search=100).ids, found.ids)
    print("the same answers after saving and loading:", same)

# Rows can be added later, without a capacity that is fixed beforehand.
index.add(query_vectors)
print("rows after adding 50:", len(index))

# A collection has what must be built around an index: ids of any kind, metadata and filters,
# deletions that take effect at once, and a directory that survives a crash.
docs = loomdb.open(":memory:").collection("docs", metric="cosine")
docs.add(ids=[f"w{row}" for row in range(len(texts))], vectors=vectors)
nearest = docs.search(query_vectors[0], k=1)[0].id
docs.delete(ids=[nearest])
print(f"{nearest} was deleted, and is found again:", nearest in docs)
