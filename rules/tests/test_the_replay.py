"""The replay judges as Prometheus does, and what is kept of it is what the document says."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "rules"), str(ROOT / "scripts")]

import write_docs  # noqa: E402 - it lies outside of the packages
from replay import __main__ as replay  # noqa: E402
from replay.measurements import series_of  # noqa: E402
from replay.month import DAY, HOUR, WARM_UP, happen, ordinary  # noqa: E402
from replay.prometheus import rules_of, whole  # noqa: E402
from replay.verdicts import Firing, firings, pages  # noqa: E402

KEPT: dict[str, Any] = json.loads(replay.RESULTS.read_text())


@pytest.mark.parametrize(
    ("true_at", "wait", "keep", "fires"),
    [
        ([0, 15, 30, 45, 60], 30, 0, [(30, 75)]),
        ([0, 15, 45, 60], 30, 0, []),
        ([0, 15, 30, 60, 75, 90], 30, 0, [(30, 45), (90, 105)]),
        ([0, 15, 30, 60, 75, 90], 30, 60, [(30, 165)]),
        ([0, 15, 300], 0, 60, [(0, 90), (300, 375)]),
        ([], 0, 0, []),
    ],
)
def test_waiting_and_going_on_are_judged_as_prometheus_does(
    true_at: list[int], wait: int, keep: int, fires: list[tuple[int, int]]
) -> None:
    """`for` wants no gap, `keep_firing_for` forgives one."""
    assert firings(true_at, step=15, wait=wait, keep=keep) == fires


@pytest.mark.parametrize("case", ["flapping", "steady"])
def test_the_same_by_promtool(tmp_path: Path, case: str) -> None:
    """The moments at which promtool says that an alert fires are the moments that we say."""
    values = {
        "flapping": "0 1 1 1 0 1 1 1 1 1 0 0 1 0 0 0 0 0 0 0 1 1 1",
        "steady": "0 0 1 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0",
    }[case]
    (tmp_path / "one.rules.yml").write_text(
        'groups: [{name: g, rules: [{alert: A, expr: "x > 0", for: 30s, keep_firing_for: 45s}]}]'
    )
    moments = [15 * n for n, value in enumerate(values.split()) if value == "1"]
    ours = firings(moments, step=15, wait=30, keep=45)
    looks = "\n".join(
        f"      - {{expr: 'count(ALERTS{{alertstate=\"firing\"}}) or vector(0)', eval_time: {at}s, exp_samples: "
        f"[{{labels: '{{}}', value: {int(any(begin <= at < end for begin, end in ours))}}}]}}"
        for at in range(0, 15 * len(values.split()), 15)
    )
    (tmp_path / "one.test.yml").write_text(
        f"rule_files: [one.rules.yml]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n"
        f"    input_series: [{{series: x, values: '{values}'}}]\n    promql_expr_test:\n{looks}\n"
    )
    tool = shutil.which("promtool") or str(ROOT / ".stack/system/usr/bin/promtool")
    done = subprocess.run(
        [tool, "test", "rules", str(tmp_path / "one.test.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_tiers_of_one_alert_are_one_page() -> None:
    """What overlaps or follows within five minutes wakes once; another alert wakes again."""
    found = [Firing(0, 100, "A", "one", "P0"), Firing(50, 400, "A", "two", "P0"), Firing(600, 700, "A", "one", "P0"),
             Firing(1200, 1300, "A", "one", "P0"), Firing(60, 90, "B", "one", "P0"), Firing(0, 90, "C", "one", "P1")]  # fmt: skip
    assert [(page.alert, page.start, page.end) for page in pages(found, replay.PAGES)] == [
        ("A", 0, 700), ("B", 60, 90), ("A", 1200, 1300),
    ]  # fmt: skip


def test_recordings_are_written_out() -> None:
    """No name of a recording is left in what is asked, and a range over one asks for its moments."""
    rules = rules_of(replay.SETS["ours"])
    names = [rule["record"] for rule in rules if "record" in rule]
    for rule in rules:
        asked = whole(rules, rule["expr"], step=15)
        assert not any(re.search(rf"{re.escape(name)}(?![\w:])", asked) for name in names)
    small = [{"record": "a:b", "expr": "rate(x[5m])"}]
    assert (
        whole(small, "predict_linear(a:b[15m], 900) > a:b", step=15)
        == "predict_linear((rate(x[5m]))[15m:15s], 900) > (rate(x[5m]))"
    )


def test_the_month_is_what_is_promised() -> None:
    """Two hundred blips that cost little, twenty incidents, none touching another, the same for the same seed."""
    month = ordinary(replay.DAYS + WARM_UP // DAY, seed=replay.SEED)
    events = happen(month, blips=replay.BLIPS, incidents=True)
    incidents = [event for event in events if event.incident]
    assert (len(events) - len(incidents), len(incidents)) == (200, 20)
    assert max(event.cost for event in events if not event.incident) < replay.WORTH_A_PAGE
    assert sum(event.cost >= replay.WORTH_A_PAGE for event in incidents) >= 8
    assert all(after.start > before.start + before.steps for before, after in itertools.pairwise(events))
    again = ordinary(replay.DAYS + WARM_UP // DAY, seed=replay.SEED)
    assert happen(again, blips=replay.BLIPS, incidents=True) == events


def test_counters_only_grow_but_at_a_restart() -> None:
    """What Prometheus would take for a restart is one."""
    month = ordinary(6, seed=1)
    month.restarts += [5 * DAY, 2 * DAY + HOUR]
    for series in series_of(month):
        if series.kind != "gauge":
            values = series.values[~np.isnan(series.values)]
            assert (values >= 0).all()
            assert (np.diff(values) < 0).sum() <= 2


def test_what_was_kept_is_good_enough() -> None:
    """The figures of the last run: what is promised of our rules, beside the rules as given in the same run."""
    assert replay.what_is_not_good_enough(KEPT) == []
    assert KEPT["replay"]["given"]["precision"] < KEPT["replay"]["ours"]["precision"]
    assert KEPT["replay"]["given"]["recall_of_all"] < KEPT["replay"]["ours"]["recall_of_all"]
    assert len(KEPT["replay"]["incidents"]) == 20


def test_the_document_says_what_was_kept() -> None:
    """The tables of docs/explanation/alerts.md are those of the kept figures."""
    page = (ROOT / "docs/explanation/alerts.md").read_text()
    assert page == write_docs.with_tables(page), "run: make docs"
