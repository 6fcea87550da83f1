"""Markdown in, values out: reading a team's runbook without loss, and judging what each statement would do."""
