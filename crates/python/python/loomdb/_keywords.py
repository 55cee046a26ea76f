"""Keywords that do not exist: the error says which one was probably meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

#: What other libraries call our arguments.
_MEANT = {
    "n_results": "k",
    "limit": "k",
    "top_k": "k",
    "topk": "k",
    "top": "k",
    "n": "k",
    "count": "k",
    "size": "k",
    "n_neighbors": "k",
    "num_results": "k",
    "ef": "ef_search",
    "search_k": "ef_search",
    "where": "filter",
    "query_filter": "filter",
    "filters": "filter",
    "embeddings": "vectors",
    "embedding": "vectors",
    "data": "vectors",
    "metadatas": "metadata",
    "payload": "metadata",
    "payloads": "metadata",
    "query_embeddings": "query",
    "query_vector": "query",
    "vector": "query",
    "queries": "query",
    "space": "metric",
    "distance": "metric",
    "similarity": "metric",
    "dimension": "dim",
    "dimensions": "dim",
    "ndim": "dim",
    "threshold": "max_distance",
    "radius": "max_distance",
    "score_threshold": "max_distance",
    "M": "m",
    "max_connections": "m",
    "num_threads": "threads",
    "n_threads": "threads",
    "workers": "threads",
    "readonly": "read_only",
    "show_progress": "progress",
}


def refuse(call: str, unknown: dict[str, Any], known: tuple[str, ...]) -> NoReturn:
    """Raises for the first unknown keyword, with the one that was probably meant."""
    import difflib

    name = next(iter(unknown))
    meant = _MEANT.get(name)
    if meant not in known:
        near = difflib.get_close_matches(name, known, n=1)
        meant = near[0] if near else None
    if meant is not None:
        raise TypeError(f"{call}() has no argument {name!r}; use {meant!r}")
    names = ", ".join(known)
    raise TypeError(f"{call}() has no argument {name!r}; it has {names}")
