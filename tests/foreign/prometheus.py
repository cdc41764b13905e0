"""Asks Prometheus every query of the dashboard until all are answered, and holds some answers to what is known to be so.

    prometheus.py URL DASHBOARD PREFIX      PREFIX: what the names of the run's topics and groups begin with
"""

import json
import math
import sys
import time
import urllib.parse
import urllib.request

PATIENCE_SECONDS = 60


def ask(url, path, **parameters):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
        body = json.load(answer)
    assert body["status"] == "success", body
    return body["data"]


def query(url, text):
    """The result's samples as (labels, value)."""
    return [(one["metric"], float(one["value"][1])) for one in ask(url, "query", query=text)["result"]]


def filled_in(text):
    for variable, value in [("$__rate_interval", "10s"), ("$cluster", ".*"), ("$topic", ".*"), ("$group", ".*")]:
        text = text.replace(variable, value)
    assert "$" not in text, f"a variable that is not known: {text}"
    return text


def main(url, dashboard, prefix):
    panels = json.load(open(dashboard))["panels"]
    queries = [(panel["title"], filled_in(target["expr"])) for panel in panels for target in panel.get("targets", [])]
    assert len(queries) > 15, queries
    facts = {
        # query: what must hold of its samples
        f'sum(clamp_min(deriv(kafka_topic_partition_current_offset{{topic="{prefix}-orders"}}[10s]), 0))': lambda v: 100 < v < 600,
        f'sum(clamp_min(deriv(kafka_consumergroup_current_offset{{topic="{prefix}-orders"}}[10s]), 0))': lambda v: v > 0,
        f'max(kafka_consumergroup_lag_seconds{{topic="{prefix}-orders"}})': lambda v: 0 <= v < 60,
        f'kafka_consumergroup_members{{consumergroup="{prefix}-billing"}}': lambda v: v == 1,
        f'max by (transactional_id) (kafka_topic_partition_open_transaction_seconds{{topic="{prefix}-out", '
        f'transactional_id="kmerge-torture-{prefix}"}})': lambda v: v > 0,
        f'sum(kafka_topic_partition_current_offset{{topic="{prefix}-in"}})': lambda v: v >= 20000,
        'sum(rate(kmerge_records_total{phase="generate"}[10s]))': lambda v: 100 < v < 600,
        "histogram_quantile(0.99, sum by (le) (rate(kmerge_acknowledgement_seconds_bucket[10s])))": lambda v: 0 < v <= 30,
        "min(kmerge_monitor_up)": lambda v: v == 1,
        "kmerge_monitor_not_known": lambda v: v == 0,
    }
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        missing = []
        targets = ask(url, "targets", state="active")["activeTargets"]
        missing += [f"{one['scrapeUrl']}: {one['lastError']}" for one in targets if one["health"] != "up"]
        for title, text in queries:
            samples = query(url, text)
            if not samples or any(math.isnan(value) for _, value in samples):
                missing.append(f"{title}: {text}: {samples}")
        for text, holds in facts.items():
            samples = query(url, text)
            if not samples or not all(holds(value) for _, value in samples):
                missing.append(f"{text}: {samples}")
        if not missing:
            break
        if time.monotonic() > ends:
            sys.exit("prometheus: not answered, or not as it should be:\n  " + "\n  ".join(missing))
        time.sleep(0.5)
    print(f"prometheus: {len(targets)} targets are up, {len(queries)} queries of the dashboard and {len(facts)} others are answered")


main(*sys.argv[1:])
