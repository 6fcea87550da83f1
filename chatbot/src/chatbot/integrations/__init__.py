"""The only outside: models, the reranker, Redis and its queue."""
