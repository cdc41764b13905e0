"""members.py BOOTSTRAP TOPIC COUNT JAVA...         the story below; JAVA... is the command of Apache's console consumer
members.py member CLIENT BOOTSTRAP TOPIC [NAME]  one member, kafka-python or confluent-kafka, static where it has a NAME

Three clients in one group, named like the topic: Apache's console consumer, kafka-python and librdkafka share its partitions.
COUNT records are read by them, each once; then kafka-python is killed (-9) and the others take its partitions over; then it is
back, as a static member, and goes and comes again. Each member says on stdout which records it has read, and commits them. The
group is left empty, with its offsets.
"""

import collections
import re
import signal
import subprocess
import sys
import threading
import time

import records

PATIENCE_SECONDS = 60
SESSION_MS = 6000
HEARTBEAT_MS = 300


# --- one member ------------------------------------------------------------------------------------------------------------


def tell(partition, offset):
    sys.stdout.write(f"Partition:{partition}\tOffset:{offset}\n")


def be_kafka_python(bootstrap, topic, name, is_over):
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        topic,
        group_id=topic,
        client_id="kafka-python",
        group_instance_id=name,
        bootstrap_servers=bootstrap.split(","),
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    while not is_over():
        found = consumer.poll(timeout_ms=100)
        for r in (r for batch in found.values() for r in batch):
            tell(r.partition, r.offset)
        sys.stdout.flush()
        if found:
            consumer.commit()
    consumer.close()


def be_confluent_kafka(bootstrap, topic, name, is_over):
    from confluent_kafka import Consumer, KafkaException

    config = {
        "bootstrap.servers": bootstrap,
        "group.id": topic,
        "client.id": "confluent-kafka",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": HEARTBEAT_MS,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    } | ({"group.instance.id": name} if name else {})
    consumer = Consumer(config)
    consumer.subscribe([topic])
    while not is_over():
        found = consumer.consume(500, timeout=0.1)
        for message in found:
            if message.error():
                raise KafkaException(message.error())
            tell(message.partition(), message.offset())
        sys.stdout.flush()
        if found:
            consumer.commit(asynchronous=False)
    consumer.close()


def be_member(client, bootstrap, topic, name=None):
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    {"kafka-python": be_kafka_python, "confluent-kafka": be_confluent_kafka}[client](bootstrap, topic, name, over.is_set)


# --- the story -------------------------------------------------------------------------------------------------------------


class Member:
    """A process that is a member; what it says it has read."""

    def __init__(self, client, command):
        self.client = client
        self.read = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def listen(self):
        for line in self.process.stdout:
            place = re.match(r"Partition:(\d+)\tOffset:(\d+)", line)
            if place:
                self.read.append((int(place[1]), int(place[2])))

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(PATIENCE_SECONDS)
        self.listener.join(PATIENCE_SECONDS)


class Story:
    def __init__(self, bootstrap, topic, count, java):
        from confluent_kafka.admin import AdminClient

        self.bootstrap, self.topic, self.count, self.java = bootstrap, topic, count, java
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.members = []
        self.gone = []
        self.written = 0

    def start(self, client, name=None):
        command = [sys.executable, "-W", "ignore", __file__, "member", client, self.bootstrap, self.topic]
        if client == "java":
            command = self.java + ["--bootstrap-server", self.bootstrap, "--topic", self.topic, "--group", self.topic]
            for is_set in [
                "client.id=java",
                "auto.offset.reset=earliest",
                "auto.commit.interval.ms=100",
                f"session.timeout.ms={SESSION_MS}",
                f"heartbeat.interval.ms={HEARTBEAT_MS}",
            ]:
                command += ["--command-property", is_set]
            for shown in ["print.partition=true", "print.offset=true", "print.value=false"]:
                command += ["--formatter-property", shown]
        self.members.append(Member(client, command + ([name] if name else [])))

    def end(self, client, how):
        member = next(member for member in self.members if member.client == client)
        self.members.remove(member)
        member.end(how)
        self.gone.append(member)

    def until(self, what, look):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := look()):
            for member in self.members:
                if member.process.poll() is not None:
                    raise SystemExit(f"{member.client} ended with status {member.process.returncode}, waiting for {what}")
            if time.monotonic() > deadline:
                raise SystemExit(f"waited {PATIENCE_SECONDS} s for {what}: the group is {self.group()}")
            time.sleep(0.05)
        return found

    def group(self):
        """The state of the group, and who has which partitions."""
        from confluent_kafka import KafkaException

        try:
            described = self.admin.describe_consumer_groups([self.topic], request_timeout=5)[self.topic].result()
        except KafkaException as error:  # a cluster's first group waits for a topic to be made
            return str(error), {}
        shares = {m.client_id: sorted(tp.partition for tp in m.assignment.topic_partitions) for m in described.members}
        return described.state.name, shares

    def shared(self, clients):
        """Waits until these clients, and nobody else, share all partitions evenly."""

        def look():
            state, shares = self.group()
            has_all = sorted(p for share in shares.values() for p in share) == list(range(records.PARTITIONS))
            is_even = {len(share) for share in shares.values()} == {records.PARTITIONS // len(clients)}
            return state == "STABLE" and sorted(shares) == sorted(clients) and has_all and is_even and shares

        return self.until(f"{' and '.join(clients)} to share {records.PARTITIONS} partitions", look)

    def write(self):
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 20})
        for i in range(self.written, self.written + self.count):
            producer.produce(self.topic, b"%d" % i, partition=records.place(i)[0])
            producer.poll(0)
        if producer.flush(PATIENCE_SECONDS):
            raise SystemExit("not all records were delivered")
        self.written += self.count

    def read_once(self, when):
        """Waits until all that was written is read and committed; each record was read once, by whoever it was."""
        from confluent_kafka import ConsumerGroupTopicPartitions

        ends = {p: records.count_of(p, self.written) for p in range(records.PARTITIONS)}

        def committed():
            asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.topic)])[self.topic]
            return {tp.partition: tp.offset for tp in asked.result().topic_partitions} == ends

        def read():
            return collections.Counter(place for member in self.members + self.gone for place in member.read)

        self.until(f"all {self.written} records {when}", lambda: len(read()) == self.written)
        self.until(f"all offsets to be committed {when}", committed)
        again = {place: times for place, times in read().items() if times > 1}
        if again:
            raise SystemExit(f"{when}: {len(again)} records were read more than once, such as {sorted(again.items())[:5]}")

    def run(self):
        from confluent_kafka.admin import NewTopic

        self.admin.create_topics([NewTopic(self.topic, records.PARTITIONS, -1)])[self.topic].result()
        everybody = ["java", "kafka-python", "confluent-kafka"]
        for client in everybody:
            self.start(client)
        self.shared(everybody)
        self.write()
        self.read_once("by three clients")
        silent = [member.client for member in self.members if not member.read]
        if silent:
            raise SystemExit(f"{silent} have read nothing")

        self.end("kafka-python", signal.SIGKILL)
        self.write()
        self.read_once("after one was killed")
        self.shared(["java", "confluent-kafka"])

        self.start("kafka-python", "static")
        before = self.shared(everybody)
        self.write()
        self.read_once("after one has come back")
        self.end("kafka-python", signal.SIGTERM)
        self.write()
        self.start("kafka-python", "static")
        self.read_once("after a static member was away")
        if (after := self.shared(everybody)) != before:
            raise SystemExit(f"a static member that was away should have found its partitions: {before}, then {after}")

        for client in everybody:
            self.end(client, signal.SIGTERM)
        # A static member does not say that it goes.
        self.until("the group to be empty", lambda: self.group() == ("EMPTY", {}))


def main():
    if sys.argv[1:2] == ["member"]:
        return be_member(*sys.argv[2:])
    _, bootstrap, topic, count, *java = sys.argv
    story = Story(bootstrap, topic, int(count), java)
    try:
        story.run()
    finally:
        for member in story.members:
            member.process.kill()


if __name__ == "__main__":
    main()
