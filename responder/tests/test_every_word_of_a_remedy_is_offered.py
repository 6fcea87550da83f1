"""A remedy comes with all that the runbook says of it: what to look at first, and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from responder.config.policies import load_policies
from responder.runbooks.plan import plan_remediation
from responder.runbooks.reader import parse_runbook

POLICIES = load_policies(Path(__file__).parents[2] / "policies", {})
OURS = Path(__file__).parents[2] / "runbooks" / "bitb-chatbot.md"
TWO = """# A runbook

## Alert: `Full`

### Remediation

**Immediate:**

Look whom it serves first.
Then empty the queue.

```http
### Run
POST {{chatbot}}/api/admin/cache/clear
```

Wait a minute, and close the service.

```http
### Run
PUT {{chatbot}}/api/admin/maintenance
```

Tell the tenants.
"""


def test_words_go_with_the_action_they_stand_before() -> None:
    """A label is the last sentence's beginning; what else is said stands below it, and nothing of another remedy."""
    [alert] = parse_runbook(TWO, path="two.md").alerts
    first, second = plan_remediation(alert, POLICIES)
    assert (first.label, first.words) == (
        "Look whom it serves first",
        "Look whom it serves first. Then empty the queue.",
    )
    assert second.label == "Wait a minute, and close the service"
    assert second.words == "Wait a minute, and close the service.\nTell the tenants."


@pytest.mark.parametrize("text", [TWO, OURS.read_text(encoding="utf-8")], ids=["two remedies", "ours"])
def test_no_word_is_left_out(text: str) -> None:
    """Every point of every group of remedies is in one of the remedies that a person is shown."""
    checked = 0
    for alert in parse_runbook(text, path="book.md").alerts:
        shown = "\n".join(f"{each.words}\n{each.text}" for each in plan_remediation(alert, POLICIES))
        for group in alert.remediation:
            for point in group.points:
                assert " ".join(point.split()) in shown or point in shown
                checked += 1
    assert checked >= 3
