"""Whether polars reads the input into a frame: says so, or with what it failed, and nothing of what it read.

    polars_frame.py IN
"""

import sys

import polars

try:
    frame = polars.read_ndjson(sys.argv[1])
except Exception as failure:  # of any kind: what is asked is whether it can
    print(f"fails with {type(failure).__name__}")
else:
    print(f"gives {frame.height} rows of {frame.width} columns")
