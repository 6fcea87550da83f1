"""Runs a team's own Markdown incident runbook when the pager goes off."""
