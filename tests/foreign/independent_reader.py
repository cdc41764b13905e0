"""independent_reader.py BOOTSTRAP INPUT OUTPUT [--start OFFSET]

Checks a merge of whole numbers (`kmerge generate ints`, `kmerge merge --key value`) with code that shares nothing with kmerge:
kafka-python reads both topics, the input is collected and sorted by (number, partition, offset), and the output must be that, record
by record: key, value, headers and timestamp. Prints one JSON object; exits with status 4 when anything differs.
"""

import argparse
import collections
import json
import sys
import time

from kafka import KafkaConsumer, TopicPartition

PATIENCE_SECONDS = 300


def read(bootstrap, topic, start=None):
    """Every record of a topic up to the ends of now, as (partition, offset, content)."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        # An assigned partition is put at the latest offset otherwise, in the background, where it overtakes a seek.
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=20_000,
        max_partition_fetch_bytes=1 << 23,
    )
    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        raise SystemExit(f"there is no topic {topic}")
    assigned = [TopicPartition(topic, p) for p in sorted(partitions)]
    consumer.assign(assigned)
    ends = consumer.end_offsets(assigned)
    following = {tp: consumer.position(tp) for tp in assigned}
    if start is not None:
        for tp in assigned:
            consumer.seek(tp, start)
            following[tp] = start
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(following[tp] < ends[tp] for tp in assigned):
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic} was not read in {PATIENCE_SECONDS} s")
        for tp, found in consumer.poll(timeout_ms=1000).items():
            for r in found:
                if r.offset != following[tp]:
                    raise SystemExit(f"{tp}: offset {r.offset} came, expected {following[tp]}")
                following[tp] += 1
                if r.offset < ends[tp]:
                    yield r.partition, r.offset, (r.key, r.value, tuple(r.headers), r.timestamp)
    consumer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bootstrap")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--start", type=int, help="the first offset of the merge in the output")
    typed = parser.parse_args()

    inputs = sorted((int(content[1]), partition, offset, content) for partition, offset, content in read(typed.bootstrap, typed.input))
    left = collections.Counter(content for *_, content in inputs)
    outputs = 0
    ascending = True
    previous = None
    first_difference = None
    for partition, offset, content in read(typed.bootstrap, typed.output, typed.start):
        if partition != 0:
            raise SystemExit(f"{typed.output} has more than one partition")
        number = int(content[1])
        ascending &= previous is None or previous <= number
        previous = number
        left[content] -= 1
        if first_difference is None and (outputs >= len(inputs) or inputs[outputs][3] != content):
            expected = inputs[outputs] if outputs < len(inputs) else None
            first_difference = f"offset {offset}: got {content}, expected {expected}"
        outputs += 1
    if first_difference is None and outputs < len(inputs):
        first_difference = f"the output ends before {inputs[outputs]}"
    report = {
        "ok": first_difference is None and ascending,
        "input_records": len(inputs),
        "output_records": outputs,
        "missing": sum(n for n in left.values() if n > 0),
        "extra": -sum(n for n in left.values() if n < 0),
        "ascending": ascending,
        "first_difference": first_difference,
    }
    print(json.dumps(report))
    sys.exit(0 if report["ok"] else 4)


if __name__ == "__main__":
    main()
