"""Writes the lines of a file to a topic with confluent-kafka's asynchronous producer, idempotent; of a .csv each row as a JSON object.

    produce_confluent.py BROKERS TOPIC FILE

What it took is one JSON object on stdout.
"""

import csv
import json
import resource
import sys
import time

from confluent_kafka import Producer

POLL_RECORDS = 1000


def values(path):
    """What the records hold, in order."""
    if path.endswith(".csv"):
        to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        with open(path, newline="") as file:
            rows = csv.reader(file)
            names = next(rows)
            for row in rows:
                yield to_json(dict(zip(names, row))).encode()
    else:
        with open(path, "rb") as lines:
            for line in lines:
                yield line.rstrip(b"\n")


def main():
    brokers, topic, path = sys.argv[1:]
    failed = 0

    def delivered(error, _message):
        nonlocal failed
        if error is not None:
            failed += 1

    producer = Producer({
        "bootstrap.servers": brokers,
        "enable.idempotence": True,
        "linger.ms": 5,
        "batch.size": 1_000_000,
        "batch.num.messages": 100_000,
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 64 << 10,
        # A report for each message would be one more call of Python for each.
        "delivery.report.only.error": True,
        "on_delivery": delivered,
    })
    producer.list_topics(topic, 30)
    began = time.perf_counter()
    sent = 0
    for value in values(path):
        while True:
            try:
                producer.produce(topic, value)
                break
            except BufferError:
                producer.poll(0.01)
        sent += 1
        if sent % POLL_RECORDS == 0:
            producer.poll(0)
    failed += producer.flush(120)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({
            "client": "confluent-kafka",
            "records": sent - failed,
            "failed": failed,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "peak_memory_bytes": used.ru_maxrss << 10,
        })
    )
    sys.exit(failed > 0)


main()
