"""independent_reader.py BOOTSTRAP INPUT[,INPUT...] OUTPUT [--start OFFSET] [--by value|timestamp|header:NAME] [--gaps]

Checks a merge by whole numbers (`kmerge merge --key value:int`, say, of `kmerge generate ints`) with code that shares nothing with
kmerge: kafka-python reads what is committed in all the topics, the inputs are collected and sorted by (number, topic, partition,
offset), and the output must be that, record by record: key, value, headers and timestamp. Prints one JSON object; exits with
status 4 when anything differs.
"""

import argparse
import collections
import json
import sys
import time

from kafka import KafkaConsumer, TopicPartition

PATIENCE_SECONDS = 300


def read(bootstrap, topic, start=None, gaps=False):
    """Every committed record of a topic up to the ends of now, as (partition, offset, content)."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
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
    # Behind the last record there may be aborted ones and markers: the client's own position says that they were passed.
    while any(max(following[tp], consumer.position(tp)) < ends[tp] for tp in assigned):
        if time.monotonic() > deadline:
            raise SystemExit(f"{topic} was not read in {PATIENCE_SECONDS} s")
        for tp, found in consumer.poll(timeout_ms=1000).items():
            for r in found:
                if r.offset < following[tp] or (r.offset > following[tp] and not gaps):
                    raise SystemExit(f"{tp}: offset {r.offset} came, expected {following[tp]}")
                following[tp] = r.offset + 1
                if r.offset < ends[tp]:
                    yield r.partition, r.offset, (r.key, r.value, tuple(r.headers), r.timestamp)
    consumer.close()


def number(by, content):
    """The number that a record is ordered by; of several headers of that name the last counts."""
    _, value, headers, timestamp = content
    if by == "value":
        return int(value)
    if by == "timestamp":
        return timestamp
    name = by.removeprefix("header:")
    return int([value for key, value in headers if key == name][-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bootstrap")
    parser.add_argument("inputs", metavar="input")
    parser.add_argument("output")
    parser.add_argument("--start", type=int, help="the first offset of the merge in the output")
    parser.add_argument("--by", default="value", help="where the number is")
    parser.add_argument("--gaps", action="store_true", help="the inputs' offsets need not follow each other (the output's never do: it may hold markers)")
    typed = parser.parse_args()

    inputs = sorted(
        (
            (number(typed.by, content), topic, partition, offset, content)
            for topic, name in enumerate(typed.inputs.split(","))
            for partition, offset, content in read(typed.bootstrap, name, gaps=typed.gaps)
        ),
        key=lambda record: record[:-1],
    )
    left = collections.Counter(content for *_, content in inputs)
    outputs = 0
    ascending = True
    previous = None
    first_difference = None
    for partition, offset, content in read(typed.bootstrap, typed.output, typed.start, gaps=True):
        if partition != 0:
            raise SystemExit(f"{typed.output} has more than one partition")
        current = number(typed.by, content)
        ascending &= previous is None or previous <= current
        previous = current
        left[content] -= 1
        if first_difference is None and (outputs >= len(inputs) or inputs[outputs][-1] != content):
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
