"""The lexicon of headings: which words mean which role. A team can extend it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from responder.core.effect import Role

LEXICON: Mapping[Role, tuple[str, ...]] = {
    Role.CONTENTS: ("table of contents", "contents", "toc"),
    Role.MEANING: ("meaning", "description", "summary", "what this alert means", "overview", "about this alert", "details"),
    Role.IMPACT: ("impact", "business impact", "user impact", "severity"),
    Role.SYMPTOMS: ("symptoms", "symptom"),
    Role.DIAGNOSIS: (
        "diagnosis", "investigation", "investigation steps", "investigate", "how to investigate", "troubleshooting",
        "possible checks", "quick checks", "quick diagnosis", "triage", "diagnostics", "diagnostic steps", "debugging",
        "checks", "verification",
    ),
    Role.REMEDIATION: (
        "remediation", "mitigation", "mitigations", "resolution", "potential resolution steps", "resolution steps", "how to fix",
        "solutions", "solution", "fix", "recovery", "actions", "recommended actions", "immediate actions",
    ),
    Role.PREVENTION: ("prevention", "prevent", "long-term fix", "follow-up", "post-incident"),
    Role.ESCALATION: ("escalation", "escalate", "when to escalate", "escalation path"),
    Role.PROCESS: ("general incident response process", "incident response process", "incident process", "process"),
    Role.CONTACTS: ("contact information", "contacts", "contact", "who to contact"),
    Role.TEMPLATES: ("status page", "status page templates", "templates", "communication templates", "template"),
    Role.RESOURCES: (
        "external resources", "resources", "references", "links", "see also", "further reading", "dashboards",
        "monitoring", "related links", "additional resources",
    ),
}  # fmt: skip

_BY_WORDS = {words: role for role, names in LEXICON.items() for words in names}
_NUMBER = re.compile(r"^\s*(?:\d+[.)]|step\s+\d+[:.)]?)\s*", re.IGNORECASE)


def role_of(title: str) -> Role:
    """The role that a heading's words give its section; UNKNOWN when the lexicon does not hold them."""
    words = re.sub(r"[^\w\s/&-]", "", _NUMBER.sub("", title)).strip().lower()
    return _BY_WORDS.get(words, Role.UNKNOWN)


def slug(title: str, seen: dict[str, int]) -> str:
    """GitHub's anchor of a heading; `seen` counts repeats within the file, which get -1, -2 and so on."""
    plain = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
    count = seen.get(plain, -1) + 1
    seen[plain] = count
    return plain if count == 0 else f"{plain}-{count}"
