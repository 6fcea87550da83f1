"""What can go wrong, drawn at the top.

    ChatbotError
    ├── ConfigError        the environment is wrong: the program does not start
    ├── UnsafeDatabase     the boot check found a role, a policy or a version that would not protect tenants
    ├── NotAllowed         no key, a wrong key, or a key of the wrong kind
    ├── NotFound
    ├── BadRequest         a request that cannot be understood
    ├── Maintenance        closed on purpose, for a while
    ├── StoreUnavailable   PostgreSQL does not answer: nothing is answered from a model's memory instead
    ├── RerankFailed       the reranker failed, and its flag is on
    └── ProviderFailed     a model's provider failed before the first token

The message is a sentence for a person: what happened, the value, the limit, what to do.
"""

from __future__ import annotations


class ChatbotError(Exception):
    """Root of every error that is raised on purpose."""


class ConfigError(ChatbotError):
    """The environment is wrong."""


class UnsafeDatabase(ChatbotError):
    """The boot check found something that would not protect tenants from each other."""


class NotAllowed(ChatbotError):
    """No key, a wrong key, or a key of the wrong kind."""


class NotFound(ChatbotError):
    """There is no such thing."""


class BadRequest(ChatbotError):
    """A request that cannot be understood."""


class Maintenance(ChatbotError):
    """Closed on purpose, for a while."""


class StoreUnavailable(ChatbotError):
    """PostgreSQL does not answer."""


class RerankFailed(ChatbotError):
    """The reranker failed, and its flag is on."""


class ProviderFailed(ChatbotError):
    """A model's provider failed before the first token."""
