"""The peer's side of a measurement: commands come as JSON lines on stdin, answers go as JSON lines to stdout.

A peer is started once and asked again and again, so that imports and compilation are not in the time.
"""

import json
import os
import sys

import numpy as np


def thread_pools():
    """The BLAS libraries that are loaded, with the kernels they chose."""
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{key: pool[key] for key in keys if key in pool} for pool in threadpool_info()]


def difference(ours, theirs):
    """The largest difference, relative to the largest number."""
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def serve(about, measure, rows=None):
    """Answers `measure` with what `measure()` gives, and `compare` with how far `rows(first, end)` is from a file.

    Of a peer with several matrices, `rows(first, end, output)` gives the one that `compare` names.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say({"about": about})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "measure":
            say(measure())
        elif command["do"] == "compare":
            theirs = rows(*command["rows"], *filter(None, [command.get("output")]))
            say({"difference": difference(np.load(command["path"]), theirs)})
