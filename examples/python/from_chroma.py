"""Moving from Chroma: copy a collection, then ask it as before.

With `pip install chromadb` the source is a real collection of Chroma; without, a stand-in that
answers `get` in the same way, so that the example runs anywhere.
"""

import loomdb
from wordnet import definitions, queries, short

PAGE = 1000


def move(source, target: loomdb.Collection) -> None:
    """Copies a collection of Chroma page by page; the documents become the field `document`."""
    offset = 0
    while True:
        include = ["embeddings", "metadatas", "documents"]
        page = source.get(limit=PAGE, offset=offset, include=include)
        if not page["ids"]:
            return
        target.upsert(
            ids=page["ids"],
            vectors=page["embeddings"],
            metadata=[
                {**(metadata or {}), "document": document}
                for metadata, document in zip(page["metadatas"], page["documents"])
            ],
        )
        offset += len(page["ids"])


class StandIn:
    """What `get` of a Chroma collection returns, from lists."""

    def __init__(self):
        self.columns = {"ids": [], "embeddings": [], "metadatas": [], "documents": []}

    def add(self, **columns):
        for name, values in columns.items():
            self.columns[name].extend(values)

    def get(self, limit, offset, include):
        return {
            name: values[offset : offset + limit]
            for name, values in self.columns.items()
            if name in ("ids", *include)
        }


def chroma_collection():
    """An empty collection of Chroma, or the stand-in."""
    try:
        import chromadb
    except ImportError:
        return StandIn()
    configuration = {"hnsw": {"space": "cosine"}}
    return chromadb.EphemeralClient().create_collection("docs", configuration=configuration)


texts, vectors = definitions()
source = chroma_collection()
for start in range(0, len(texts), PAGE):
    rows = range(start, start + PAGE)
    source.add(
        ids=[f"w{row}" for row in rows],
        embeddings=[vectors[row] for row in rows],
        metadatas=[{"words": len(texts[row].split())} for row in rows],
        documents=[texts[row] for row in rows],
    )

db = loomdb.open(":memory:")
docs = db.collection("docs", metric="cosine")
move(source, docs)
print(f"{len(docs)} points moved\n")

# In Chroma:
#     source.query(query_embeddings=[query], n_results=3, where={"words": {"$lt": 12}})
# Here the answer is a list of hits, and one query has one answer:
query_texts, query_vectors = queries()
print(f"? {short(query_texts[12])}")
for hit in docs.search(query_vectors[12], k=3, filter={"words": {"$lt": 12}}):
    print(f"  {hit.distance:.2f}  {hit.id}  {short(hit.metadata['document'], 54)}")

# What Chroma passes over in silence is an error here, which says what to do.
for attempt in (
    lambda: docs.search(query_vectors[12], n_results=3),
    lambda: docs.search(query_vectors[12], filter={"word": 3}),
    lambda: docs.add(ids=["w1"], vectors=vectors[:1]),
):
    try:
        attempt()
    except (TypeError, loomdb.Error) as error:
        print(f"\n{type(error).__name__}: {error}")
