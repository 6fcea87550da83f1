"""The breakers of one provider: one for each of its models, so that a sick model does not close off a well one."""

from __future__ import annotations

from chatbot.core.breaker import Breaker, Limits, State

# Models are named by operators. Above this many the rest share one breaker: each is a series of a metric.
MODELS = 16
OTHER = "other"


class Breakers:
    """`groq` is the breaker of the default model; another model's is `groq/MODEL`."""

    def __init__(self, provider: str, default_model: str, limits: Limits | None = None) -> None:
        self.provider = provider
        self.default_model = default_model
        self._limits = limits
        self._by_model = {default_model: Breaker(provider, limits)}

    @property
    def default(self) -> Breaker:
        """The default model's breaker."""
        return self._by_model[self.default_model]

    def of(self, model: str, now: float) -> Breaker:
        """The model's breaker, made at its first use. While all of the provider is forced open, so is a new one."""
        found = self._by_model.get(model)
        if found is not None:
            return found
        key = model if len(self._by_model) < MODELS else OTHER
        if key not in self._by_model:
            made = Breaker(f"{self.provider}/{key}", self._limits)
            if self.default.state is State.FORCED_OPEN:
                made.force_open(now)
            self._by_model[key] = made
        return self._by_model[key]

    def named(self, name: str) -> list[Breaker]:
        """The breakers that a person means: the provider's name stands for all of its models. Empty: none is meant."""
        if name == self.provider:
            return list(self._by_model.values())
        return [breaker for breaker in self._by_model.values() if breaker.name == name]

    def all(self) -> dict[str, Breaker]:
        """Every breaker that was used, by model."""
        return dict(self._by_model)
