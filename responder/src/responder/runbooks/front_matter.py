"""Front matter: the plain facts about an alert in it. Anything deeper is for other programs."""

from __future__ import annotations

import re

from responder.core.runbook import Meta

_FACT = re.compile(r"^(?P<key>[A-Za-z][\w -]*?)\s*:\s*(?P<value>.*?)\s*$")
_ITEM = re.compile(r"^\s*-\s+(?P<value>\S.*?)\s*$")
_KEYS = {
    **dict.fromkeys(
        ("alert", "alerts", "alertname", "alert_name", "alertnames", "alert_names", "alert-name"), "alert"
    ),
    **dict.fromkeys(("severity", "priority", "sev"), "severity"),
    **dict.fromkeys(("threshold", "condition", "trigger"), "threshold"),
    "title": "title",
}


def facts_of(text: str) -> dict[str, Meta]:
    """The facts of front matter, by key; a list, as `alerts: [A, B]` or with a dash a line, is one value of names."""
    found: dict[str, Meta] = {}
    rows = text.splitlines()
    for number, row in enumerate(rows, start=1):
        fact = _FACT.match(row)
        key = _KEYS.get(fact["key"].lower()) if fact else None
        if fact is None or key is None or key in found:
            continue
        value = fact["value"] or ", ".join(_items(rows[number:]))
        value = re.sub(r"\s+#.*$", "", value).strip("[]\"' ").replace('"', "").replace("'", "")
        if value:
            found[key] = Meta(key=key, value=value, line=number, source="front matter")
    return found


def _items(rows: list[str]) -> list[str]:
    items: list[str] = []
    for row in rows:
        item = _ITEM.match(row)
        if item is None:
            break
        items.append(item["value"].strip("\"'"))
    return items
