"""Prometheus rule files and PrometheusRule manifests → rules, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from responder.core.rule import AlertRule, RuleFile
from responder.errors import RunbookError

# The library has no types for its parser's own functions.
_yaml: Any = yaml

SIZE_LIMIT = 10_000_000
# Rule files are about eight levels deep; one that is deeper wants to exhaust whoever reads it.
DEPTH_LIMIT = 60
# Anchors repeat what stands once; more repetitions than this are a bomb.
ALIAS_LIMIT = 200
RULE_LIMIT = 100_000

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def read_rules(path: Path) -> RuleFile:
    """One file, perhaps of several documents. Raises RunbookError with file and line for what is no file of rules."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunbookError(f"cannot be read: {error.strerror}", path=str(path)) from error
    if len(raw) > SIZE_LIMIT:
        message = f"the file has {len(raw)} bytes; the limit is {SIZE_LIMIT}. Split it by group."
        raise RunbookError(message, path=str(path))
    try:
        return parse_rules(raw.decode("utf-8-sig"), path=str(path))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise RunbookError("not UTF-8. Save the file as UTF-8.", path=str(path), line=line) from error


def parse_rules(text: str, *, path: str) -> RuleFile:
    """The rules in a text. Raises RunbookError."""
    try:
        _refuse_bombs(text, path)
        documents: list[yaml.Node] = [
            node for node in _yaml.compose_all(text, Loader=yaml.CSafeLoader) if node
        ]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        # The signs of a template are no YAML, or YAML of another meaning.
        hint = ". A template is rendered first: `helm template`" if "{{" in text else ""
        line = mark.line + 1 if mark else 1
        raise RunbookError(f"not YAML: {reason}{hint}", path=path, line=line) from error
    alerts: list[AlertRule] = []
    records: dict[str, str] = {}
    if not holds_rules(text):
        message = "holds no groups of rules: a rule file has `groups:`, a PrometheusRule `spec.groups:`"
        raise RunbookError(message, path=path)
    for group in (group for document in documents for group in _groups(document, path)):
        for node in _sequence(_field(group, "rules"), path, "rules"):
            if len(alerts) + len(records) > RULE_LIMIT:
                raise RunbookError(f"more than {RULE_LIMIT} rules: split the file", path=path)
            rule = _mapping(node, path, "a rule")
            if "record" in rule:
                records[_text(rule["record"], path)] = _text(rule.get("expr"), path)
            elif "alert" in rule:
                alerts.append(_alert(rule, node, path))
    return RuleFile(path=path, text=text, alerts=tuple(alerts), records=records)


def holds_rules(text: str) -> bool:
    """Whether a text has a key `groups`, as every file of rules has; a folder may hold other YAML too."""
    return re.search(r"^[\s\"'{-]*groups[\"']?\s*:", text, re.MULTILINE) is not None


def _refuse_bombs(text: str, path: str) -> None:
    """Before anything is built: the events come one by one, whatever they would become."""
    depth = aliases = 0
    for event in _yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        line: int = event.start_mark.line + 1
        if depth > DEPTH_LIMIT:
            raise RunbookError(f"nested deeper than {DEPTH_LIMIT} levels", path=path, line=line)
        if aliases > ALIAS_LIMIT:
            raise RunbookError(f"repeats more than {ALIAS_LIMIT} anchors", path=path, line=line)


def _groups(document: yaml.Node, path: str) -> Iterator[yaml.Node]:
    top = _mapping(document, path, "the document")
    if "spec" in top and "groups" not in top:
        top = _mapping(top["spec"], path, "spec")
    if _kind(top) == "List":
        for item in _sequence(top.get("items"), path, "items"):
            yield from _groups(item, path)
        return
    yield from _sequence(top.get("groups"), path, "groups")


def _kind(top: Mapping[str, yaml.Node]) -> str:
    kind = top.get("kind")
    return str(kind.value) if isinstance(kind, yaml.ScalarNode) else ""


def _alert(rule: Mapping[str, yaml.Node], node: yaml.Node, path: str) -> AlertRule:
    expr = rule.get("expr")
    if not isinstance(expr, yaml.ScalarNode):
        line = node.start_mark.line + 1
        raise RunbookError(f"the alert '{_text(rule['alert'], path)}' has no expr", path=path, line=line)
    # A block scalar begins on the line after its `|`.
    block = 1 if expr.style in {"|", ">"} else 0
    return AlertRule(
        name=_text(rule["alert"], path),
        expr=str(expr.value).strip(),
        for_=_duration(rule.get("for"), path),
        labels=_texts(rule.get("labels"), path),
        annotations=_texts(rule.get("annotations"), path),
        file=path,
        line=rule["alert"].start_mark.line + 1,
        expr_line=expr.start_mark.line + 1 + block,
        end_line=max(node.end_mark.line, expr.end_mark.line),
    )


def _duration(node: yaml.Node | None, path: str) -> timedelta:
    written = _text(node, path) if node is not None else "0s"
    if re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w|y))+|0", written) is None:
        line = node.start_mark.line + 1 if node is not None else 1
        raise RunbookError(f"'{written[:40]}' is not a duration such as 5m", path=path, line=line)
    return timedelta(seconds=sum(float(n) * _SECONDS[unit] for n, unit in _PART.findall(written)))


def _field(node: yaml.Node, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in _pairs(node) if key.value == name), None)


def _pairs(node: yaml.MappingNode) -> Sequence[tuple[Any, yaml.Node]]:
    return node.value


def _mapping(node: yaml.Node, path: str, what: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise RunbookError(f"{what} is not a mapping of names to values", path=path, line=line)
    return {str(key.value): value for key, value in _pairs(node) if isinstance(key, yaml.ScalarNode)}


def _sequence(node: yaml.Node | None, path: str, what: str) -> list[yaml.Node]:
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value in {"", "null", "~"}):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise RunbookError(f"`{what}` is not a list", path=path, line=node.start_mark.line + 1)
    items: list[yaml.Node] = node.value
    return items


def _text(node: yaml.Node | None, path: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        line = node.start_mark.line + 1 if node else 1
        raise RunbookError("a text is expected here", path=path, line=line)
    return str(node.value).strip()


def _texts(node: yaml.Node | None, path: str) -> dict[str, str]:
    if node is None or isinstance(node, yaml.ScalarNode):
        return {}
    fields = _mapping(node, path, "labels and annotations")
    return {name: str(value.value) for name, value in fields.items() if isinstance(value, yaml.ScalarNode)}
