"""The lexicon of headings: which words mean which role. A team can extend it in policies/headings.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from responder.core.effect import Role

# Headings as they stand, in lower case. They come from reading public collections of runbooks.
LEXICON: Mapping[Role, tuple[str, ...]] = {
    Role.CONTENTS: ("table of contents", "contents", "toc"),
    Role.MEANING: (
        "meaning", "description", "summary", "what this alert means", "overview", "about this alert", "details", "background",
        "introduction", "reason", "what does this alert mean", "alert description", "metric", "tl;dr", "intro",
        "normal situation",
    ),
    Role.IMPACT: ("impact", "business impact", "user impact", "severity", "blast radius", "customer impact"),
    Role.SYMPTOMS: ("symptoms", "symptom", "signs", "what you will see", "how it shows"),
    Role.DIAGNOSIS: (
        "diagnosis", "investigation", "investigation steps", "investigate", "how to investigate", "troubleshooting",
        "possible checks", "quick checks", "quick diagnosis", "triage", "diagnostics", "diagnostic steps", "debugging",
        "checks", "verification", "steps to check", "initial steps", "initial steps overview", "detailed steps",
        "check runbook match", "troubleshooting pointers", "pre-checks", "first checks", "how to check", "steps to debug",
        "troubleshoot", "debug",
    ),
    Role.REMEDIATION: (
        "remediation", "mitigation", "mitigations", "resolution", "potential resolution steps", "resolution steps", "how to fix",
        "solutions", "solution", "fix", "recovery", "actions", "recommended actions", "immediate actions", "what to do",
        "what to do?", "solutions list", "solutions detail", "check resolution", "post-checks", "possible corrective actions",
        "corrective actions", "workaround", "workarounds", "rollback", "how to resolve", "next steps", "repair",
    ),
    Role.PREVENTION: (
        "prevention", "prevent", "long-term fix", "follow-up", "follow up", "post-incident", "post incident", "hardening",
    ),
    Role.ESCALATION: ("escalation", "escalate", "when to escalate", "escalation path", "escalations", "how to escalate"),
    Role.PROCESS: (
        "general incident response process", "incident response process", "incident process", "process",
        "incident response", "response process", "incident management process",
    ),
    Role.CONTACTS: (
        "contact information", "contacts", "contact", "who to contact", "owner", "owners", "ownership", "contact details",
    ),
    Role.TEMPLATES: ("status page", "status page templates", "templates", "communication templates", "template"),
    Role.RESOURCES: (
        "external resources", "resources", "references", "links", "see also", "further reading", "dashboards",
        "monitoring", "related links", "additional resources", "further information", "additional notes", "notes",
        "further info", "related alerts", "related runbooks", "authors", "further steps", "links to further documentation",
    ),
}  # fmt: skip

# For headings that are not in the lexicon as they stand, such as "Troubleshooting pods": the words that give them away,
# the most cautious role first, since a heading about finding and mending is about mending.
_STEMS: tuple[tuple[Role, re.Pattern[str]], ...] = tuple(
    (role, re.compile(rf"\b(?:{words})", re.IGNORECASE))
    for role, words in (
        (Role.PREVENTION, "prevent(?:ion|ing)?\\b|long[- ]term"),
        (Role.REMEDIATION, "mitigat|remediat|resolv(?:e|ing)|resolution|solution|work-?around|recover|how to fix|to fix\\b"),
        (Role.ESCALATION, "escalat"),
        (Role.DIAGNOSIS, "diagnos|investigat|troubleshoot|triag|debug|possible causes|root cause"),
        (Role.SYMPTOMS, "symptom"),
        (Role.IMPACT, "impact\\b"),
        (Role.CONTACTS, "contacts?\\b"),
    )
)  # fmt: skip
_STEM_WORDS = 7

_NUMBER = re.compile(r"^\s*(?:\d+[.)]|step\s+\d+[:.)]?)\s*", re.IGNORECASE)
_EXPLICIT_ID = re.compile(r"\s*\{#([\w.:-]+)[^}]*\}\s*$")
_CLOSING_HASHES = re.compile(r"\s+#+\s*$")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The built-in headings and a team's own, by their words in lower case."""

    own: Mapping[str, Role] = field(default_factory=dict[str, Role], hash=False)

    @classmethod
    def of(cls, headings: Mapping[Role, tuple[str, ...]]) -> Lexicon:
        """A team's headings go before the built-in ones."""
        return cls({_words(words): role for role, names in headings.items() for words in names})

    def exact(self, title: str) -> Role:
        """The role of a heading that the lexicon holds as it stands; UNKNOWN otherwise."""
        words = _words(title)
        return self.own.get(words) or _BY_WORDS.get(words, Role.UNKNOWN)

    def likely(self, title: str) -> Role:
        """The role of a heading by a word that gives it away; UNKNOWN otherwise, and for whole sentences."""
        exact = self.exact(title)
        if exact is not Role.UNKNOWN or len(title.split()) > _STEM_WORDS:
            return exact
        return next((role for role, stem in _STEMS if stem.search(title)), Role.UNKNOWN)


def _words(title: str) -> str:
    return re.sub(r"[^\w\s/&;-]", "", _NUMBER.sub("", title)).strip().lower()


_BY_WORDS = {_words(words): role for role, names in LEXICON.items() for words in names}


def bare_title(written: str) -> tuple[str, str | None]:
    """A heading without an explicit anchor such as `{#overview}`, and the anchor."""
    found = _EXPLICIT_ID.search(written)
    title = written[: found.start()] if found else written
    return _CLOSING_HASHES.sub("", title).strip(), found[1] if found else None


def slug(title: str, seen: dict[str, int]) -> str:
    """GitHub's anchor of a heading; `seen` counts repeats within the file, which get -1, -2 and so on."""
    plain = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
    count = seen.get(plain, -1) + 1
    seen[plain] = count
    return plain if count == 0 else f"{plain}-{count}"
