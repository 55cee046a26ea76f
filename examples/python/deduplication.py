"""Deduplication: find the rows of a table that say the same in other words.

Exact copies are easy; here every row is compared by meaning. 200 rows of the table are slightly
changed copies of others, as another source or another encoder would deliver them.
"""

import loomdb
import numpy as np
from wordnet import definitions, short

NEAR = 0.10

texts, vectors = definitions()
numbers = np.random.default_rng(seed=1)
originals = numbers.choice(len(texts), size=200, replace=False)
noise = numbers.normal(scale=0.01, size=(len(originals), vectors.shape[1]))
table_texts = texts + [texts[row].upper() for row in originals]
table = np.vstack([vectors, vectors[originals] + noise]).astype(np.float32)

docs = loomdb.open(":memory:").collection("rows", metric="cosine")
docs.add(ids=list(range(len(table))), vectors=table)

# The nearest rows of every row, all in one call; the nearest of a row is mostly the row itself.
found = docs.search(table, k=6)
pairs = {
    (min(row, int(other)), max(row, int(other))): float(distance)
    for row, (ids, distances) in enumerate(zip(found.ids, found.distances))
    for other, distance in zip(ids, distances)
    if other != row and distance < NEAR
}

# Rows that are connected by pairs are one group, whose first row is kept.
first = list(range(len(table)))


def group(row: int) -> int:
    """The first row of the group of a row."""
    while first[row] != row:
        row = first[row]
    return row


for one, other in sorted(pairs):
    low, high = sorted((group(one), group(other)))
    first[high] = low

kept = [row for row in range(len(table)) if group(row) == row]
copies = range(len(texts), len(table))
recognized = sum(group(copy) == group(int(row)) for copy, row in zip(copies, originals))
print(f"{len(table)} rows, {len(kept)} kept")
print(f"{recognized} of the {len(originals)} changed copies were recognized\n")

print("definitions that were near each other before:")
own = {pair: distance for pair, distance in pairs.items() if pair[1] < len(texts)}
for one, other in sorted(own, key=own.get)[:4]:
    print(f"  {own[one, other]:.2f}  {short(texts[one])}\n        {short(texts[other])}")
