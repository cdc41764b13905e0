"""What `kmerge clean` does by the rules in clean.toml, with confluent-kafka and json: reads a topic of logins, puts a default in where
the device's type is missing, makes a time of the number, and writes them to another topic, idempotent.

    clean_confluent.py BROKERS FROM TO

It promises less than kmerge: no transaction holds offsets and output together, no group shares the partitions, and what cannot be
parsed ends it. What it took is one JSON object on stdout.
"""

import json
import resource
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

BULK = 10_000


def main():
    brokers, source, target = sys.argv[1:]
    failed = 0

    def delivered(error, _message):
        nonlocal failed
        if error is not None:
            failed += 1

    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "clean-rival",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "queued.min.messages": 100_000,
        "queued.max.messages.kbytes": 64 << 10,
        "fetch.max.bytes": 50 << 20,
        "max.partition.fetch.bytes": 4 << 20,
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 1,
        "check.crcs": True,
    })
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
    producer.list_topics(target, 30)
    partitions = [TopicPartition(source, number) for number in consumer.list_topics(source, 30).topics[source].partitions]
    began = time.perf_counter()
    total = 0
    for partition in partitions:
        partition.offset, end = consumer.get_watermark_offsets(partition, 30)
        total += end - partition.offset
    consumer.assign(partitions)

    from_json = json.loads
    to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    left = total
    while left > 0:
        messages = consumer.consume(min(BULK, left), timeout=30)
        if not messages:
            sys.exit("nothing came for 30 seconds")
        for message in messages:
            if message.error():
                sys.exit(str(message.error()))
            login = from_json(message.value())
            if login.get("device_type") is None:
                login["device_type"] = "unknown"
            login["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(login["timestamp"]))
            value = to_json(login).encode()
            while True:
                try:
                    producer.produce(target, value, message.key())
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        left -= len(messages)
    failed += producer.flush(120)
    for partition in partitions:
        partition.offset = consumer.position([partition])[0].offset
    consumer.commit(offsets=partitions, asynchronous=False)

    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({
            "client": "confluent-kafka",
            "records": total - failed,
            "out": total - failed,
            "failed": failed,
            "seconds": round(seconds, 3),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "peak_memory_bytes": used.ru_maxrss << 10,
        })
    )
    sys.exit(failed > 0)


main()
