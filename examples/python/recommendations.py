"""Recommendations: what is like the things somebody likes, is in stock, and is not known yet.

The items are definitions; their prices and stock are made up.
"""

import loomdb
import numpy as np
from wordnet import definitions, short

texts, vectors = definitions()
numbers = np.random.default_rng(seed=3)
items = [
    {"text": text, "price": float(price), "stock": int(stock), "shops": shops}
    for text, price, stock, shops in zip(
        texts,
        numbers.uniform(5, 100, size=len(texts)).round(2),
        numbers.integers(0, 4, size=len(texts)),
        [["online"], ["online", "city"], ["city"]] * len(texts),
    )
]
shop = loomdb.open(":memory:").collection("items", metric="cosine")
shop.add(ids=[f"item-{row}" for row in range(len(texts))], vectors=vectors, metadata=items)

# The taste of a person is the mean of what they liked.
likes = [
    f"item-{row}"
    for row, text in enumerate(texts)
    if text.startswith(("cream cheese:", "buttermilk:", "corn pudding:"))
]
points = [point for point in shop.get(likes) if point is not None]
taste = np.mean([point.vector for point in points], axis=0)
print("somebody liked")
for point in points:
    print(f"  {short(point.metadata['text'])}")


def recommend(title: str, filter: dict) -> None:
    """Prints the five best items that match and are not known yet."""
    print(f"\n{title}")
    hits = shop.search(taste, k=5 + len(likes), filter=filter)
    for hit in [hit for hit in hits if hit.id not in likes][:5]:
        print(f"  {hit.metadata['price']:6.2f}  {short(hit.metadata['text'], 60)}")


recommend("everything", {})
recommend("in stock, up to 40", {"stock": {"$gt": 0}, "price": {"$lte": 40}})
recommend("in the city, and either cheap or plenty", {
    "shops": "city",
    "$or": [{"price": {"$lt": 20}}, {"stock": {"$gte": 3}}],
})

# A filter can be looked at before it is used: how many match, and how the search goes about it.
rare = {"stock": 3, "price": {"$lt": 10}}
print(f"\n{shop.count(filter=rare)} of {len(shop)} items are plenty and under 10")
print("such a search is a", shop.explain(taste, k=5, filter=rare)["strategy"])

# An item is sold out: the next search knows it.
in_stock = {"stock": {"$gt": 0}}
best = shop.search(taste, k=1, filter=in_stock)[0].id
shop.update(ids=[best], metadata=[{"stock": 0}])
print(best, "is sold out, and the next best is", shop.search(taste, k=1, filter=in_stock)[0].id)
