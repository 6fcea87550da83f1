"""What can go wrong, drawn at the top.

    ChatbotError
    ├── ConfigError            the environment is wrong: the program does not start
    │   └── EmbeddingModelChanged  the stored vectors are not of the model that is configured
    ├── UnsafeDatabase         roles, policies or versions do not keep tenants apart: the program does not start
    ├── IllegalTransition      a state machine was asked for an event that its state does not allow
    ├── Unauthenticated        no key, or one that opens nothing
    ├── Forbidden              a good key for something else
    │   └── TenantSuspended    an operator has closed this tenant
    ├── QuotaReached           no more documents, bytes or members for this tenant
    ├── BudgetSpent            the tenant's tokens or requests of the day are used up      (try again)
    ├── WrongHost              the request is meant for another server
    ├── Blocked                the address is blocked for a time
    ├── RateLimited            asked more often than the limit allows                    (try again)
    ├── SignInDelayed          after failed attempts the next must wait                  (try again)
    ├── ChallengeRequired      after failed attempts a proof of work is needed           (try again)
    ├── Overloaded             every place to be answered in, or to wait for one, is taken (try again)
    ├── ClientLeft             nobody waits for the answer any more
    ├── NotFound               no such tenant, conversation, flag
    ├── BadRequest             a body or file that cannot be understood
    ├── BodyTooLarge           a body above the limit
    ├── Conflict               the name is taken
    ├── Maintenance            an operator has closed the product for a while            (try again)
    ├── Draining               this process is about to stop and takes no new question   (try again)
    ├── TenantIsolationViolation  something of another tenant was about to be answered: withheld
    ├── StoreUnavailable       PostgreSQL does not answer                                (try again)
    ├── QueueUnavailable       Redis does not answer                                     (try again)
    ├── ResponderUnavailable   the responder did not take a security event               (told again)
    ├── CacheUnavailable       Redis does not answer where answers are kept              (go on without)
    ├── DocumentRefused        a document that cannot be read, and why: its revision fails
    ├── EmbeddingFailed        the embedding service gave no vectors                     (try again)
    ├── FetchFailed            a page could not be fetched                               (try again)
    ├── RerankFailed           the reranker gave no order, and its path has no fallback  (try again)
    └── ProviderError          a language model gave no answer
        ├── ProviderUnavailable  refused the connection, timed out, 429, 5xx, bad key    (another may)
        └── ProviderRefused      says the request itself is wrong

The message of an error is a sentence for a person: what happened, the value, the limit. `remedy` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ChatbotError(Exception):
    """Root of every error that is raised on purpose. `permanent` says whether trying again can help."""

    permanent = True
    remedy = "Read the detail; if it does not help, give the request id to whoever runs this service."
    # Whole seconds after which trying again can help, where that is known.
    retry_after: int | None = None

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy


class ConfigError(ChatbotError):
    """The environment is wrong."""


class UnsafeDatabase(ChatbotError):
    """Roles, policies or versions do not keep tenants apart."""


class IllegalTransition(ChatbotError):
    """The state does not allow the event; nothing was changed."""


class Unauthenticated(ChatbotError):
    """No key, or one that opens nothing."""

    remedy = (
        "Send the tenant's key in the header X-Api-Key (make one with: chatbot key create --tenant NAME), or a token of"
        " POST /api/sign-in or POST /api/widget/sessions as: Authorization: Bearer TOKEN."
    )


class Forbidden(ChatbotError):
    """A good key for something else."""

    remedy = "Use the key of the tenant that is asked for, or leave the tenant out."


class TenantSuspended(Forbidden):
    """An operator has closed this tenant."""

    remedy = "Ask whoever runs this service; an operator opens it again with: chatbot tenant resume NAME."


class QuotaReached(ChatbotError):
    """No more documents, bytes or members for this tenant."""


class BudgetSpent(ChatbotError):
    """The tenant's tokens or requests of the day are used up."""

    permanent = False

    def __init__(self, message: str, *, retry_after: int, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class WrongHost(ChatbotError):
    """The request is meant for another server."""

    remedy = (
        "Use the address that this service is known by; operators name its hosts in CHATBOT_ALLOWED_HOSTS."
    )


class Blocked(ChatbotError):
    """The address is blocked for a time. `retry_after` is in seconds."""

    remedy = "If this is a mistake, give your address to whoever runs this service: they can unblock it."

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(ChatbotError):
    """Asked more often than the limit allows: `amount` in `seconds`. `retry_after` is in seconds."""

    permanent = False
    remedy = "Try again after the seconds in Retry-After, and ask more slowly."

    def __init__(self, message: str, *, policy: str, amount: int, seconds: int, retry_after: int) -> None:
        super().__init__(message)
        self.policy = policy
        self.amount = amount
        self.seconds = seconds
        self.retry_after = retry_after


class SignInDelayed(ChatbotError):
    """After failed attempts the next must wait. `retry_after` is in seconds."""

    permanent = False
    remedy = (
        "Try again after the seconds in Retry-After. A link for a new password opens the account at once."
    )

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChallengeRequired(ChatbotError):
    """After failed attempts a proof of work is needed. `challenge` is one, as the altcha widget takes it."""

    permanent = False
    remedy = "Solve the challenge in this document with an altcha solver, and send the same again with its payload as 'proof'."

    def __init__(self, message: str, *, challenge: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.challenge = challenge


class Overloaded(ChatbotError):
    """Every place to be answered in, or to wait for one, is taken. `retry_after` is in seconds."""

    permanent = False
    remedy = "Try again after the seconds in Retry-After."
    retry_after = 5

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClientLeft(ChatbotError):
    """Nobody waits for the answer any more."""

    remedy = "Nothing was done; ask again."


class NotFound(ChatbotError):
    """There is no such thing."""


class BadRequest(ChatbotError):
    """A body or file that cannot be understood."""

    remedy = "Correct the request as the detail says and send it again."


class BodyTooLarge(ChatbotError):
    """A body above the limit."""

    remedy = "Send a shorter body."


class Conflict(ChatbotError):
    """The name is taken."""


class Maintenance(ChatbotError):
    """An operator has closed the product for a while."""

    permanent = False
    remedy = "Try again after the seconds in Retry-After."


class Draining(ChatbotError):
    """This process is about to stop and takes no new question."""

    permanent = False
    remedy = (
        "Try again after the seconds in Retry-After: another process answers, or this one after its restart."
    )


class TenantIsolationViolation(ChatbotError):
    """Something of another tenant was about to be answered; it was withheld."""

    remedy = "Nothing was given out. The operators have been told; give them the request id."


class StoreUnavailable(ChatbotError):
    """PostgreSQL does not answer."""

    permanent = False
    remedy = "Try again in some seconds; operators see the reason at /api/health/database."


class QueueUnavailable(ChatbotError):
    """Redis does not answer."""

    permanent = False
    remedy = "Try again in some seconds; operators see the reason at /api/health/redis."


class ResponderUnavailable(ChatbotError):
    """The responder did not take a security event."""

    permanent = False
    remedy = (
        "Nothing to do: it is told again until it answers. Check CHATBOT_SECURITY_WEBHOOK_URL and its key."
    )


class CacheUnavailable(ChatbotError):
    """Redis does not answer where answers are kept; they are made anew."""

    permanent = False
    remedy = "Try again in some seconds; operators see the reason at /api/health/redis."


class DocumentRefused(ChatbotError):
    """A document that cannot be read. The message is the reason that its owner sees."""


class EmbeddingFailed(ChatbotError):
    """The embedding service gave no vectors. `after` is how many seconds it asked us to wait."""

    permanent = False
    remedy = "Try again in some seconds. Operators see the reason in the log."

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class EmbeddingModelChanged(ConfigError):
    """The vectors that are stored are not of the model that is configured."""

    remedy = (
        "Set CHATBOT_EMBEDDINGS_URL and CHATBOT_EMBEDDINGS_MODEL back to what they were, or embed every passage again:"
        " chatbot reembed. Then start the servers and workers anew."
    )


class FetchFailed(ChatbotError):
    """A page could not be fetched, for a reason that may pass."""

    permanent = False


class RerankFailed(ChatbotError):
    """The reranker gave no order, and its path has no fallback."""

    permanent = False
    remedy = "Try again in some seconds. Operators can switch the feature flag 'rerank' off."


class ProviderError(ChatbotError):
    """A language model gave no answer."""


class ProviderUnavailable(ProviderError):
    """Refused the connection, timed out, answered 429 or 5xx, or does not take our key.

    `again` says whether the same provider may be asked again at once, `after` how many seconds it asked us to wait.
    """

    permanent = False

    def __init__(self, message: str, *, again: bool = False, after: float | None = None) -> None:
        super().__init__(message)
        self.again = again
        self.after = after


class ProviderRefused(ProviderError):
    """Says the request itself is wrong."""
