"""parquet.py values | compare FOLDER EXPECTED

values: prints JSON objects, one a line, with whatever is difficult in them.

compare: reads a folder of parquet files with pyarrow and with DuckDB, and holds every row against what `kmerge clean --dry-run
--output json` says becomes of the record at its topic, partition and offset. Values are put together again from the columns
and `_rest`; types are those of the table in `clean --help`. Exits with status 4 when anything differs.
"""

import datetime
import glob
import json
import math
import sys

NUMBERS = ["0", "-0", "1", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e3", "1.0", "0.1"]
NUMBERS += ["9007199254740992", "9007199254740993", "1e308", "5e-324", "-0.0", "123456789.123456789"]
OTHERS = ["null", "true", "false", '""', '"text"', '"\\u00e9\\ud83d\\ude00\\u0000\\n"', "[]", '[1, {"a": "]"}]', '{"b":{}}']
TIMES = ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59.999Z", "2024-05-17T14:00:00.25+02:00", "2024-05-17T12:00:00.000001Z"]
TIMES += ["1969-12-31T23:59:59.5Z", "2024-05-17T12:00:00.000000001Z", "2024-05-17", "yesterday"]


def values():
    names = ["n", "x", "yes", "text", "at", "finely", "what", "other"]
    for name in names:
        for value in NUMBERS + OTHERS + [json.dumps(time) for time in TIMES]:
            print("{%s:%s}" % (json.dumps(name), value))
    for number, time in enumerate(TIMES * 50):
        print('{"n":%d,"x":%r,"yes":true,"text":"text %d","at":"%s","finely":"%s","what":{"a":[%d]}}' % (number, number / 7, number, time, time, number))
    print("{}")


def by_pyarrow(files):
    import pyarrow.parquet as pq

    for file in files:
        for row in pq.read_table(file).to_pylist():
            yield row


def by_duckdb(files):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = connection.execute("SELECT * FROM read_parquet(?)", [files])
    names = [column[0] for column in found.description]
    for row in found.fetchall():
        yield dict(zip(names, row))


def moment(text):
    """Microseconds since 1970 of an RFC 3339 text, or None where it is finer or none."""
    head, _, rest = text.partition(".")
    digits = ""
    if rest:
        digits = rest[: next((at for at, c in enumerate(rest) if not c.isdigit()), len(rest))]
        head, text = head, head + rest[len(digits) :]
    if digits.rstrip("0")[6:]:
        return None
    whole = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    since = whole - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + int((digits + "000000")[:6])


def micros(value):
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def same(column, value, text):
    """Whether what a reader found in a column of this type is what stands in the record."""
    if column == "json":
        return text_of(value) == text_of(text)
    expected = json.loads(text)
    if column in ("time", "time_us"):
        return isinstance(expected, str) and micros(value) == moment(expected)
    if column == "float":
        exact = isinstance(expected, (int, float)) and not isinstance(expected, bool)
        return exact and isinstance(value, float) and value == float(expected) and math.copysign(1, value) == math.copysign(1, float(text))
    if column == "int":
        return type(value) is int and type(expected) is int and value == expected
    return type(value) is type(expected) and value == expected


def text_of(value):
    return value if isinstance(value, str) else json.dumps(value)


def members(text):
    """The members of an object, each as it is written."""
    decoder, at, found = json.JSONDecoder(), 1, {}
    while True:
        while text[at] in " ,\n":
            at += 1
        if text[at] == "}":
            return found
        name, at = decoder.raw_decode(text, at)
        at = text.index(":", at) + 1
        while text[at] in " \n":
            at += 1
        _, end = decoder.raw_decode(text, at)
        found[name], at = text[at:end], end


def compare(folder, expected):
    kept = json.load(open(f"{folder}/_schema.json"))
    types = {column["name"]: column["type"] for column in kept["columns"]}
    wanted = {}
    for record in json.load(open(expected))["records"]:
        if record["fate"] == "kept":
            wanted[record["topic"], record["partition"], record["offset"]] = members(record["after"])
    files = sorted(glob.glob(f"{folder}/*.parquet"))
    for name, reader in [("pyarrow", by_pyarrow), ("duckdb", by_duckdb)]:
        left = dict(wanted)
        in_rest = 0
        for row in reader(files):
            at = row.pop("_topic"), row.pop("_partition"), row.pop("_offset")
            if at not in left:
                raise SystemExit(f"{name}: {at} is there twice, or was not to be there")
            record = left.pop(at)
            micros(row.pop("_timestamp"))
            rest = members(row.pop("_rest") or "{}")
            in_rest += len(rest)
            if set(row) != set(types):
                raise SystemExit(f"{name}: columns are {sorted(row)}, expected {sorted(types)}")
            for member, text in record.items():
                value = row.get(member)
                if text == "null":
                    fits = value is None and member not in rest
                elif value is None:
                    fits = rest.get(member) == text
                else:
                    fits = member not in rest and same(types[member], value, text)
                if not fits:
                    print(f"{name}: {at} {member}: {text} came back as {value!r}, in the rest as {rest.get(member)}", file=sys.stderr)
                    sys.exit(4)
            extra = [member for member, value in row.items() if value is not None and member not in record]
            if extra or set(rest) - set(record):
                print(f"{name}: {at}: {extra} and {sorted(rest)} came from nowhere", file=sys.stderr)
                sys.exit(4)
        if left:
            print(f"{name}: {len(left)} records are missing, {next(iter(left))} among them", file=sys.stderr)
            sys.exit(4)
        print(f"  ok    {name:8} {len(wanted)} rows of {len(files)} files equal, {in_rest} values in _rest", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "values":
        values()
    else:
        compare(*sys.argv[2:])
