"""5,000 definitions of the Open English WordNet with their vectors, and 50 queries.

The vectors are of the model all-MiniLM-L6-v2; with `pip install sentence-transformers` a text of
your own becomes one by `SentenceTransformer("all-MiniLM-L6-v2").encode(text)`.
"""

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "data" / "wordnet"


def definitions() -> tuple[list[str], np.ndarray]:
    """The texts, such as `garden: a plot of ground ...`, and an array of shape (5000, 384)."""
    texts = (DATA / "texts.txt").read_text(encoding="utf-8").splitlines()
    return texts, np.load(DATA / "vectors.npy").astype(np.float32)


def queries() -> tuple[list[str], np.ndarray]:
    """50 further texts, and an array of shape (50, 384)."""
    texts = (DATA / "query_texts.txt").read_text(encoding="utf-8").splitlines()
    return texts, np.load(DATA / "queries.npy").astype(np.float32)


def short(text: str, width: int = 66) -> str:
    """The beginning of a text, for a line on the screen."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
