#!/usr/bin/env python3
"""table.py RESULTS ROWS: the medians of the rounds as a table in Markdown, for each work; ends with 1 if anybody left a record out or
counted other words than the others, where both have counted exactly."""

import json
import statistics
import sys

OURS, WALL = "kmerge", "prebuilt batches"
COUNTED = ("bytes", "words", "unique_words")

path, rows = sys.argv[1], int(sys.argv[2])
with open(path) as file:
    results = [json.loads(line) for line in file]
wrong = 0


def rounds(work, client):
    return [result for result in results if (result["work"], result["client"]) == (work, client)]


def rate(result):
    return rows / result["seconds"]


def median(values):
    return statistics.median(list(values))


def ratio(work, client, other):
    """The median of the rounds' ratios: what disturbs a round disturbs both."""
    pairs = zip(rounds(work, client), rounds(work, other))
    return median(rate(one) / rate(another) for one, another in pairs)


for work in dict.fromkeys(result["work"] for result in results):
    clients = list(dict.fromkeys(result["client"] for result in results if result["work"] == work))
    print(f"| {work} | records/s | CPU µs a record | peak memory | |")
    print("| --- | --- | --- | --- | --- |")
    for client in clients:
        of_client = rounds(work, client)
        for result in of_client:
            # kmerge produce counts what was acknowledged, kmerge clean what went out; with others a record that failed is none.
            records = result.get("acknowledged", result.get("out", result.get("records")))
            if records != rows:
                wrong += 1
                print(f"{work}: {client} had {records} records of {rows}", file=sys.stderr)
        rates = [rate(result) for result in of_client]
        cpu = median(result["cpu_seconds"] for result in of_client) / rows * 1e6
        memory = median(result["peak_memory_bytes"] for result in of_client) / (1 << 20)
        note = ""
        if client == WALL:
            note = f"kmerge reaches {ratio(work, OURS, client):.2f} of it"
        elif client != OURS:
            note = f"kmerge is {ratio(work, OURS, client):.1f} times as fast"
        spread = f"{min(rates) / 1e6:.2f} to {max(rates) / 1e6:.2f}"
        print(f"| {client} | {median(rates) / 1e6:.2f} M ({spread}) | {cpu:.2f} | {memory:.0f} MiB | {note} |")
    for name in COUNTED if work.startswith("stats") else ():
        # What is said to be an estimate is none of a count.
        exact = [result for result in results if result["work"] == work and result.get(f"{name}_exact", True)]
        counts = {result[name] for result in exact}
        if len(counts) > 1:
            wrong += 1
            print(f"{work}: not the same {name}: {sorted(counts)}", file=sys.stderr)
    print()
sys.exit(wrong > 0)
