"""The only outside, one file a system: language models, the reranker, Redis, the queue, OpenFeature."""
