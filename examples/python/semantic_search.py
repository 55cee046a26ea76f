"""Semantic search: find texts by what they mean.

Run it with `python examples/python/semantic_search.py`.
"""

import tempfile

import loomdb
from wordnet import definitions, queries, short

texts, vectors = definitions()
metadata = [
    {"text": text, "name": text.split(":")[0], "words": len(text.split())} for text in texts
]

with tempfile.TemporaryDirectory() as directory:
    # A database is a directory, and a collection learns its dimension from the first batch.
    with loomdb.open(f"{directory}/wordnet.loom") as db:
        docs = db.collection("definitions", metric="cosine")
        docs.add(ids=list(range(len(texts))), vectors=vectors, metadata=metadata)

    # Everything is there when it is opened again; other processes read with read_only=True.
    with loomdb.open(f"{directory}/wordnet.loom", read_only=True) as db:
        docs = db.collection("definitions")
        print(f"{len(docs)} definitions\n")

        query_texts, query_vectors = queries()
        for row in (0, 2, 5):
            print(f"? {short(query_texts[row])}")
            for hit in docs.search(query_vectors[row], k=3):
                print(f"  {hit.distance:.2f}  {short(hit.metadata['text'])}")
            print()

        # A filter is a dictionary. If at least k points match, k come back.
        print("? the first query, in at most eight words")
        for hit in docs.search(query_vectors[0], k=3, filter={"words": {"$lte": 8}}):
            print(f"  {hit.distance:.2f}  {short(hit.metadata['text'])}")
        print()

        # Many queries at once are answered as arrays.
        found = docs.search(query_vectors, k=10)
        print("50 queries at once:", found.ids.shape, found.distances.shape)
