"""The lexicon of headings: which words mean which role. A team can extend it in policies/headings.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from responder.core.effect import Role

# Headings as they stand, in lower case. They come from reading public collections of runbooks.
LEXICON: Mapping[Role, tuple[str, ...]] = {
    Role.CONTENTS: ("table of contents", "contents", "toc", "on this page"),
    Role.META: (
        "alert details", "alert information", "alert info", "alert definition", "alert summary", "alert metadata",
        "metadata", "alert", "alert name", "alert names", "alert rule", "trigger", "triggers", "trigger logic",
        "trigger condition", "alert condition", "alerts", "threshold", "thresholds", "severity", "severity level",
        "priority", "firing condition", "condition",
    ),
    Role.MEANING: (
        "meaning", "description", "summary", "what this alert means", "overview", "about this alert", "details",
        "background", "introduction", "reason", "what does this alert mean", "what does this alert mean?",
        "alert description", "metric", "tl;dr", "intro", "normal situation", "what it means", "what this means",
        "what is it", "what it is", "what does it mean", "purpose", "scope", "context", "problem", "problem statement",
        "explanation", "when to use", "when to use this runbook", "about", "what", "why it matters", "why this matters",
        "why this alert exists", "rationale", "what happened", "problem description",
    ),
    Role.IMPACT: (
        "impact", "business impact", "user impact", "blast radius", "customer impact", "impact assessment", "consequences",
        "effect", "effects", "potential impact", "service impact", "who is affected",
    ),
    Role.SYMPTOMS: (
        "symptoms", "symptom", "signs", "what you will see", "how it shows", "signal", "signals", "detection",
        "detection signals", "indicators", "observed behavior", "observed behaviour", "how you know", "what you see",
        "common symptoms",
    ),
    Role.DIAGNOSIS: (
        "diagnosis", "investigation", "investigation steps", "investigate", "how to investigate", "troubleshooting",
        "possible checks", "quick checks", "quick diagnosis", "triage", "diagnostics", "diagnostic steps", "debugging",
        "checks", "verification", "steps to check", "initial steps", "initial steps overview", "detailed steps",
        "check runbook match", "troubleshooting pointers", "pre-checks", "first checks", "how to check", "steps to debug",
        "troubleshoot", "debug", "quick check", "immediate checks", "initial checks", "diagnosis steps", "triage steps",
        "detailed diagnosis", "initial triage", "initial diagnosis", "initial assessment", "assessment", "analysis",
        "root cause analysis", "root cause", "root causes", "likely causes", "possible causes", "probable causes",
        "common causes", "potential causes", "causes", "troubleshooting steps", "triage checklist", "checklist",
        "quick triage", "first response", "what to check", "where to look", "how to diagnose", "how to debug",
        "how to troubleshoot", "confirm", "verify the alert", "verify the problem", "validate the alert", "health checks",
        "diagnostic commands", "diagnostic queries", "useful queries", "queries", "promql quick checks",
        "investigation queries", "steps", "verify", "validation", "things to check", "investigating", "identify the cause",
        "find the cause", "quick triage steps", "deep dive",
        "verification steps", "validation steps", "root-cause checklist", "root cause checklist", "where to look first",
        "likely suspects", "what to look for", "real-time monitoring", "monitoring during incident",
    ),
    Role.REMEDIATION: (
        "remediation", "mitigation", "mitigations", "resolution", "potential resolution steps", "resolution steps",
        "how to fix", "solutions", "solution", "fix", "fixes", "recovery", "actions", "recommended actions",
        "immediate actions", "what to do", "what to do?", "solutions list", "solutions detail", "check resolution",
        "post-checks", "possible corrective actions", "corrective actions", "workaround", "workarounds", "rollback",
        "how to resolve", "next steps", "repair", "containment", "response", "response actions", "response steps",
        "immediate response", "immediate action", "emergency actions", "mitigation steps", "remediation steps",
        "recovery steps", "recovery actions", "recovery procedure", "mitigation strategies", "resolution procedures",
        "remediation actions", "mitigation actions", "procedure", "procedures", "how to mitigate", "how to remediate",
        "how to recover", "stop the bleeding", "action", "actions to take", "what to do now", "fixing", "treatment",
        "rollback plan", "rollback steps", "rollback procedure", "failover", "runbook steps", "immediate", "short-term",
        "emergency procedures", "emergency procedure", "contain", "scenarios and actions",
        "short term", "playbook", "quick fix", "quick fixes", "temporary fix", "permanent fix", "cleanup", "common fixes",
    ),
    Role.PREVENTION: (
        "prevention", "prevent", "long-term fix", "follow-up", "follow up", "post-incident", "post incident", "hardening",
        "post-mortem", "postmortem", "post mortem", "after the incident", "post-incident actions", "follow-up actions",
        "follow-ups", "lessons learned", "preventive measures", "preventative measures", "preventive actions",
        "long-term prevention", "post-incident review", "post-incident tasks", "post-incident steps",
        "post-incident checklist", "post-incident follow-up", "post-resolution", "future improvements", "improvements",
    ),
    Role.ESCALATION: (
        "escalation", "escalate", "when to escalate", "escalation path", "escalations", "how to escalate",
        "escalation policy", "escalation roles", "escalation criteria", "escalation steps", "escalation procedure",
        "escalation matrix", "whom to escalate to", "who to page", "when to page",
    ),
    Role.PROCESS: (
        "general incident response process", "incident response process", "incident process", "process", "incident response",
        "response process", "incident management process", "incident lifecycle", "incident workflow", "response workflow",
        "general process", "incident handling", "incident handling process", "incident response steps",
        "incident response workflow", "general incident process", "incident response procedure", "response timeline",
    ),
    Role.CONTACTS: (
        "contact information", "contacts", "contact", "who to contact", "owner", "owners", "ownership", "contact details",
        "key contacts", "emergency contacts", "on-call contacts", "contact list", "team contacts", "people", "on-call",
        "oncall",
    ),
    Role.TEMPLATES: (
        "status page", "status page templates", "templates", "communication templates", "template", "communication",
        "communications", "communication template", "status templates", "status page template", "customer communication",
        "status updates", "status update templates", "message templates", "communication plan", "internal communication",
        "external communication", "status page updates", "incident communication",
    ),
    Role.RESOURCES: (
        "external resources", "resources", "references", "links", "see also", "further reading", "dashboards", "monitoring",
        "related links", "additional resources", "further information", "additional notes", "notes", "further info",
        "related alerts", "related runbooks", "authors", "further steps", "links to further documentation",
        "related documentation", "related", "documentation", "appendix", "prerequisites", "preconditions", "requirements",
        "access required", "required access", "before you begin", "tools", "change log", "changelog", "revision history",
        "history", "related documents", "useful links", "dashboard", "reference", "document history", "glossary",
        "cross-references", "learn more", "more information", "related metrics", "related resources", "preparation",
        "external links", "permissions",
    ),
}  # fmt: skip

# For headings that are not in the lexicon as they stand, such as "Troubleshooting pods": the words that give them away,
# the most cautious role first, since a heading about finding and mending is about mending.
_STEMS: tuple[tuple[Role, re.Pattern[str]], ...] = tuple(
    (role, re.compile(rf"\b(?:{words})", re.IGNORECASE))
    for role, words in (
        (Role.PREVENTION, "prevent(?:ion|ing|ive|ative)?\\b|long[- ]term|post[- ]?(?:incident|mortem)|follow[- ]ups?\\b"),
        (Role.REMEDIATION,
         "mitigat|remediat|resolv(?:e|ing)|resolution|solutions?\\b|work-?around|recover|how to fix|to fix\\b"
         "|contain(?:ment|ing)\\b|roll-?back|immediate (?:actions?|response|steps)|corrective|response actions"),
        (Role.ESCALATION, "escalat"),
        (Role.DIAGNOSIS,
         "diagnos|investigat|troubleshoot|triag|debug|(?:possible|likely|common|probable|potential|root) causes?"
         "|(?:quick|first|initial|immediate|health) checks?|checks\\b|first \\d+ min"),
        (Role.SYMPTOMS, "symptom"),
        (Role.IMPACT, "impact\\b"),
        (Role.CONTACTS, "contacts?\\b"),
        (Role.TEMPLATES, "communication|status page"),
        (Role.META, "alert (?:details|information|definition)"),
    )
)  # fmt: skip
_STEM_WORDS = 7
# Of a heading that joins several parts, the role that allows least.
_CAUTION = (
    Role.PREVENTION, Role.TEMPLATES, Role.REMEDIATION, Role.DIAGNOSIS, Role.ESCALATION, Role.CONTACTS, Role.SYMPTOMS, Role.IMPACT,
    Role.MEANING, Role.META, Role.RESOURCES, Role.PROCESS, Role.CONTENTS,
)  # fmt: skip

# Words of a heading that proves something: after a remedy it is the remedy that is proved, not the alert.
_PROVING = re.compile(r"\b(?:verif\w+|validat\w+|confirm\w*)\b", re.IGNORECASE)

# Beside a diagnosis, a heading that begins so goes on with it: "Step 2: identify the endpoint".
_LOOKING = re.compile(
    r"(?:identify|inspect|determine|locate|assess|gather|collect|check|look|find|narrow|examine|review)\b"
)

_NUMBER = re.compile(
    r"^[^\w]*(?:(?:step|phase|option|part)\s+\d+\s*[:.)\u2013\u2014-]?|\d+(?:\.\d+)*[.):]|\u00a7\w+\.?)\s*",
    re.IGNORECASE,
)
_SIGNS = re.compile(r"[^\w\s/&;,+?-]")
_BRACKETED = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*:?\s*$")
_JOINED = re.compile(r"\s+(?:&|and|or|\+)\s+|\s*/\s*|,\s*")
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
        """The role of a heading that the lexicon holds as it stands, or each part of "Causes & Remedies"; else UNKNOWN."""
        words = _words(title)
        found = self._of(words)
        if found is not Role.UNKNOWN or not words:
            return found
        roles = {self._of(part) for part in _JOINED.split(words)}
        return Role.UNKNOWN if Role.UNKNOWN in roles else next(role for role in _CAUTION if role in roles)

    def _of(self, words: str) -> Role:
        return self.own.get(words) or _BY_WORDS.get(words, Role.UNKNOWN)

    def likely(self, title: str) -> Role:
        """The role of a heading by a word that gives it away; UNKNOWN otherwise, and for whole sentences."""
        exact = self.exact(title)
        if exact is not Role.UNKNOWN or len(title.split()) > _STEM_WORDS:
            return exact
        return next((role for role, stem in _STEMS if stem.search(title)), Role.UNKNOWN)


def _words(title: str) -> str:
    """The words by which headings are compared: no number, no bracket at the end, no signs, in lower case."""
    bare = _BRACKETED.sub("", _NUMBER.sub("", title))
    return " ".join(_SIGNS.sub("", bare.replace("\u2019", "'")).lower().split())


def proves(title: str) -> bool:
    """Whether a heading is about proving: "Verification", "Confirm recovery"."""
    return bool(_PROVING.search(title))


def looks(title: str) -> bool:
    """Whether a heading begins with a word for looking: "Check for a recent deploy"."""
    return bool(_LOOKING.match(_words(title)))


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
