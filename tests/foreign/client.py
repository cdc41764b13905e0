"""client.py kafka-python|confluent-kafka create|produce|transact|consume|delete BOOTSTRAP TOPIC COUNT WRITER

Writes the records of records.py with a client as it comes from its registry, or reads them with assigned partitions and compares
every byte. Exits non-zero on the first difference. `transact` (confluent-kafka) writes them in transactions, and some of them
first in transactions that are aborted.
"""

import sys
import time

import records

PATIENCE_SECONDS = 120
# The records carry old timestamps; with the usual retention a real broker removes them under the reader's eyes.
TOPIC_CONFIG = {"retention.ms": "-1"}


class KafkaPython:
    name = "kafka-python"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap.split(",")

    def create(self, topic):
        from kafka.admin import KafkaAdminClient, NewTopic

        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.create_topics([NewTopic(topic, records.PARTITIONS, -1, topic_configs=TOPIC_CONFIG)])
        admin.close()

    def delete(self, topic):
        from kafka.admin import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.delete_topics([topic])
        admin.close()

    def produce(self, topic, count):
        from kafka import KafkaProducer

        for codec, numbers in records.blocks(count, [None, "gzip", "snappy", "lz4", "zstd"]):
            producer = KafkaProducer(bootstrap_servers=self.bootstrap, compression_type=codec, linger_ms=20)
            sent = []
            for i in numbers:
                r = records.record(i, self.name)
                partition, _ = records.place(i)
                future = producer.send(
                    topic, r.value, r.key, headers=r.headers, partition=partition, timestamp_ms=r.timestamp
                )
                sent.append((i, future))
            producer.flush(PATIENCE_SECONDS)
            for i, future in sent:
                answer = future.get(timeout=PATIENCE_SECONDS)
                told(i, answer.partition, answer.offset)
            producer.close()

    def consume(self, topic, deadline):
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_poll_records=5000,
        )
        assigned = [TopicPartition(topic, p) for p in range(records.PARTITIONS)]
        consumer.assign(assigned)
        ends = {tp.partition: end for tp, end in consumer.end_offsets(assigned).items()}
        yield ends
        while any(consumer.position(tp) < ends[tp.partition] for tp in assigned) and time.monotonic() < deadline:
            for found in consumer.poll(timeout_ms=1000).values():
                for r in found:
                    yield r.partition, r.offset, records.Record(r.key, r.value, list(r.headers), r.timestamp)
        consumer.close()


class ConfluentKafka:
    name = "confluent-kafka"

    def __init__(self, bootstrap):
        self.config = {"bootstrap.servers": bootstrap}

    def create(self, topic):
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient(self.config)  # held until the answer is there
        for future in admin.create_topics([NewTopic(topic, records.PARTITIONS, -1, config=TOPIC_CONFIG)]).values():
            future.result()

    def delete(self, topic):
        from confluent_kafka.admin import AdminClient

        admin = AdminClient(self.config)
        for future in admin.delete_topics([topic]).values():
            future.result()

    def produce(self, topic, count):
        from confluent_kafka import Producer

        failures = []

        def delivered(i):
            def check(error, message):
                try:
                    if error is not None:
                        raise SystemExit(f"record {i}: {error}")
                    told(i, message.partition(), message.offset())
                except SystemExit as failure:
                    failures.append(failure)

            return check

        for n, (codec, numbers) in enumerate(records.blocks(count, ["none", "gzip", "snappy", "lz4", "zstd"])):
            # Plain and idempotent in turn: the second kind asks for a producer id and numbers its batches. Without that, only
            # one request in flight keeps the order when one is repeated.
            producer = Producer(
                self.config
                | {"compression.type": codec, "linger.ms": 20}
                | ({"enable.idempotence": True} if n % 2 else {"max.in.flight": 1})
            )
            for i in numbers:
                r = records.record(i, self.name)
                partition, _ = records.place(i)
                while True:
                    try:
                        producer.produce(
                            topic,
                            r.value,
                            r.key,
                            partition,
                            on_delivery=delivered(i),
                            timestamp=r.timestamp,
                            headers=r.headers,
                        )
                        break
                    except BufferError:  # its queue is full: let it send
                        producer.poll(1)
                producer.poll(0)
            if producer.flush(PATIENCE_SECONDS):
                raise SystemExit(f"{len(producer)} records were not delivered in {PATIENCE_SECONDS} s")
            if failures:
                raise failures[0]

    def transact(self, topic, count):
        from confluent_kafka import Consumer, Producer, TopicPartition

        group = Consumer(self.config | {"group.id": topic}).consumer_group_metadata()
        producer = Producer(self.config | {"transactional.id": topic, "linger.ms": 20})
        producer.init_transactions(PATIENCE_SECONDS)

        def attempt(numbers, upto, end):
            producer.begin_transaction()
            for i in numbers:
                r = records.record(i, self.name)
                partition, _ = records.place(i)
                producer.produce(topic, r.value, r.key, partition, timestamp=r.timestamp, headers=r.headers)
                producer.poll(0)
            offset = TopicPartition(topic, 0, upto, f"upto {upto}")
            producer.send_offsets_to_transaction([offset], group, PATIENCE_SECONDS)
            end(PATIENCE_SECONDS)

        for _, numbers in records.blocks(count, ["none"] * 20):
            attempt(numbers[: len(numbers) // 2], 0, producer.abort_transaction)
            attempt(numbers, numbers.stop, producer.commit_transaction)

    def consume(self, topic, deadline):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        # The client insists on the name of a group; with assigned partitions nobody asks for it.
        consumer = Consumer(self.config | {"group.id": "unused", "enable.auto.commit": False, "check.crcs": True})
        ends = {}
        for p in range(records.PARTITIONS):
            _, ends[p] = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=PATIENCE_SECONDS)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(records.PARTITIONS)])
        yield ends
        left = sum(ends.values())
        while left > 0 and time.monotonic() < deadline:
            for message in consumer.consume(5000, timeout=1):
                if message.error():
                    raise SystemExit(f"consume: {message.error()}")
                _, timestamp = message.timestamp()
                headers = list(message.headers() or [])
                left -= 1
                yield (
                    message.partition(),
                    message.offset(),
                    records.Record(message.key(), message.value(), headers, timestamp),
                )
        consumer.close()


def told(i, partition, offset):
    """The broker answers each record with its place; it must be the one it will be read at."""
    if (partition, offset) != records.place(i):
        raise SystemExit(f"record {i} was acknowledged at {(partition, offset)}, expected {records.place(i)}")


def check(read, count, writer):
    ends = next(read)
    expected_ends = {p: records.count_of(p, count) for p in range(records.PARTITIONS)}
    if ends != expected_ends:
        raise SystemExit(f"the partitions end at {ends}, expected {expected_ends}")
    following = dict.fromkeys(range(records.PARTITIONS), 0)
    for partition, offset, found in read:
        if offset != following[partition]:
            raise SystemExit(f"partition {partition}: offset {offset} came, expected {following[partition]}")
        following[partition] += 1
        expected = records.record(records.number(partition, offset), writer)
        if found != expected:
            raise SystemExit(f"partition {partition}, offset {offset}:\n     got {found!r:.400}\nexpected {expected!r:.400}")
    if following != expected_ends:
        raise SystemExit(f"read up to {following} in {PATIENCE_SECONDS} s, expected {expected_ends}")


def main():
    _, name, verb, bootstrap, topic, count, writer = sys.argv
    client = {kind.name: kind for kind in (KafkaPython, ConfluentKafka)}[name](bootstrap)
    count = int(count)
    if verb == "create":
        client.create(topic)
    elif verb == "produce":
        client.produce(topic, count)
    elif verb == "transact":
        client.transact(topic, count)
    elif verb == "consume":
        check(client.consume(topic, time.monotonic() + PATIENCE_SECONDS), count, writer)
    elif verb == "delete":
        client.delete(topic)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
