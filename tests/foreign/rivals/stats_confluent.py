"""What `kmerge stats` counts, with confluent-kafka: for each 10,000 records of a topic the records, bytes, words, and different
words in them and in all so far.

    stats_confluent.py BROKERS TOPIC joined|each

Rows are CSV on stdout, a summary is one JSON object on stderr. Messages are taken from librdkafka in bulk. `each`: as most people
write it, one message after the other, its words put into sets. `joined`: as fast as it was found to go, a batch's values joined,
so that one call parts all of their words, and told apart by sets, so that what is done for each word is done in C.
"""

import json
import resource
import sys
import time

from confluent_kafka import Consumer, TopicPartition

BATCH_RECORDS = 10_000


def batches(consumer, records):
    """Lists of 10,000 messages, the last one shorter."""
    while records > 0:
        batch = []
        while len(batch) < min(BATCH_RECORDS, records):
            messages = consumer.consume(min(BATCH_RECORDS, records) - len(batch), timeout=30)
            if not messages:
                sys.exit("nothing came for 30 seconds")
            for message in messages:
                if message.error():
                    sys.exit(str(message.error()))
            batch += messages
        records -= len(batch)
        yield batch


def joined(batch, known):
    """Bytes of the values, words, and different words."""
    text = b" ".join([message.value() or b"" for message in batch])
    words = text.split()
    unique = set(words)
    known |= unique
    return len(text) - (len(batch) - 1), len(words), len(unique)


def each(batch, known):
    """The same, a message at a time."""
    size = words = 0
    unique = set()
    for message in batch:
        value = message.value()
        if value is None:
            continue
        size += len(value)
        parted = value.split()
        words += len(parted)
        unique.update(parted)
    known |= unique
    return size, words, len(unique)


def main():
    brokers, topic, way = sys.argv[1:]
    count = {"joined": joined, "each": each}[way]
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "stats-rival",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # Enough at hand that the next batch is there when this one is counted, and answers as large as kmerge asks for.
        "queued.min.messages": 100_000,
        "queued.max.messages.kbytes": 64 << 10,
        "fetch.max.bytes": 50 << 20,
        "max.partition.fetch.bytes": 4 << 20,
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 1,
        "check.crcs": True,
    })
    partitions = [TopicPartition(topic, number) for number in consumer.list_topics(topic, 30).topics[topic].partitions]
    began = time.perf_counter()
    total = 0
    for partition in partitions:
        partition.offset, end = consumer.get_watermark_offsets(partition, 30)
        total += end - partition.offset
    consumer.assign(partitions)

    records = size = words = 0
    known = set()
    last = began
    print("batch,records,bytes,words,unique_words,unique_words_so_far,records_per_second")
    for number, batch in enumerate(batches(consumer, total), 1):
        of_values, of_batch, unique = count(batch, known)
        batch_size = of_values + sum([len(message.key() or b"") for message in batch])
        now = time.perf_counter()
        print(number, len(batch), batch_size, of_batch, unique, len(known), round(len(batch) / (now - last)), sep=",")
        records += len(batch)
        size += batch_size
        words += of_batch
        last = now

    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({
            "client": "confluent-kafka",
            "records": records,
            "bytes": size,
            "words": words,
            "unique_words": len(known),
            "seconds": round(seconds, 3),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
            "peak_memory_bytes": used.ru_maxrss << 10,
        }),
        file=sys.stderr,
    )


main()
