#!/usr/bin/env python3
"""timed.py RECORDS COMMAND [ARG...]: runs the command, its output thrown away; what it took is one JSON object on stdout."""

import json
import resource
import subprocess
import sys
import time

records, *command = sys.argv[1:]
began = time.perf_counter()
subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps({
        "records": int(records),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "peak_memory_bytes": used.ru_maxrss << 10,
    })
)
