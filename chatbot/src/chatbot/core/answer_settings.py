"""What operators may set for answers, for everybody or for one tenant, within bounds.

Three layers, the nearest wins: the tenant's, the global one, the environment. A layer holds only what was set in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from chatbot.errors import BadRequest

LARGEST_TOP_K = 50
LARGEST_MAX_TOKENS = 32_000
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """What is in force: passages for an answer, its length in tokens, who is asked in which order, and for which model."""

    similarity_top_k: int
    max_tokens: int
    providers: tuple[str, ...]
    models: Mapping[str, str]  # by provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What was set in one layer. None: not set here."""

    similarity_top_k: int | None = None
    max_tokens: int | None = None
    providers: tuple[str, ...] | None = None
    models: Mapping[str, str] | None = None

    def stored(self) -> dict[str, Any]:
        """As it is kept: only what is set."""
        return {name: value for name, value in asdict(self).items() if value is not None}


EMPTY = Layer()
FIELDS = ("similarity_top_k", "max_tokens", "providers", "models")


def layer_of(stored: Mapping[str, Any] | None) -> Layer:
    """The layer that was kept."""
    if not stored:
        return EMPTY
    order = stored.get("providers")
    return Layer(
        similarity_top_k=stored.get("similarity_top_k"),
        max_tokens=stored.get("max_tokens"),
        providers=tuple(order) if order else None,
        models=stored.get("models"),
    )


def laid_over(below: AnswerSettings, layer: Layer) -> AnswerSettings:
    """What is in force when `layer` lies over `below`. A provider without a key here is left out of the order."""
    known = below.providers
    named = tuple(name for name in layer.providers or () if name in known)
    return AnswerSettings(
        similarity_top_k=layer.similarity_top_k or below.similarity_top_k,
        max_tokens=layer.max_tokens or below.max_tokens,
        # Whoever is not named stays behind those that are: a fallback is never lost by leaving it out.
        providers=(*named, *(name for name in known if name not in named)),
        models={**below.models, **(layer.models or {})},
    )


def changed(layer: Layer, change: Mapping[str, Any], *, known: tuple[str, ...]) -> Layer:
    """The layer after a change: what is named is set, null takes it back to the layer below. Raises BadRequest."""
    for name, value in change.items():
        match name:
            case "similarity_top_k":
                layer = replace(layer, similarity_top_k=_number(name, value, most=LARGEST_TOP_K))
            case "max_tokens":
                layer = replace(layer, max_tokens=_number(name, value, most=LARGEST_MAX_TOKENS))
            case "providers":
                layer = replace(layer, providers=_order(value, known))
            case "models":
                layer = replace(layer, models=_models(layer.models or {}, value, known))
            case _:
                raise BadRequest(
                    f"There is no setting '{name[:80]}'.", remedy=f"The settings are: {', '.join(FIELDS)}."
                )
    return layer


def undo_of(before: Layer, change: Mapping[str, Any]) -> dict[str, Any]:
    """The change that takes `change` back."""
    kept = before.stored()
    undo: dict[str, Any] = {}
    for name, value in change.items():
        if name == "models" and value is not None:
            undo[name] = {provider: (before.models or {}).get(provider) for provider in value}
        else:
            undo[name] = kept.get(name)
    return undo


def _number(name: str, value: Any, *, most: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise BadRequest(
            f"{name} is {str(value)[:40]!r}; it must be a whole number from 1 to {most}.",
            remedy="Send a number within the bounds, or null for the value of the layer below.",
        )
    return value


def _order(value: Any, known: tuple[str, ...]) -> tuple[str, ...] | None:
    if value is None:
        return None
    named = [_provider(name, known) for name in value]
    if not named or len(set(named)) != len(named):
        raise BadRequest(
            f"providers is {value!r}; it must name each provider once, the first to be asked first.",
            remedy=f"The providers are: {', '.join(known) or 'none, since none has a key'}.",
        )
    return tuple(named)


def _models(before: Mapping[str, str], value: Any, known: tuple[str, ...]) -> Mapping[str, str] | None:
    if value is None:
        return None
    after = dict(before)
    for provider, model in value.items():
        _provider(provider, known)
        if model is None:
            after.pop(provider, None)
        elif _MODEL.fullmatch(model):
            after[provider] = model
        else:
            raise BadRequest(
                f"'{model[:80]}' cannot be a model's name: 1 to 100 of letters, digits and . _ : / - .",
                remedy="Send the name as the provider lists it at /models.",
            )
    return after or None


def _provider(name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise BadRequest(
            f"There is no provider '{name[:80]}' here.",
            remedy=f"The providers are: {', '.join(known) or 'none, since none has a key'}.",
        )
    return name


class InForce:
    """The global settings of this process, from memory, so that they work with PostgreSQL down. Kept fresh by `stages.tune`."""

    def __init__(self, environment: AnswerSettings) -> None:
        self.environment = environment
        self.layer = EMPTY

    def settings(self, tenant: Layer = EMPTY) -> AnswerSettings:
        """What is in force for everybody, or under a tenant's own layer."""
        return laid_over(laid_over(self.environment, self.layer), tenant)
