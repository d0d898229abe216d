"""gzip of many members: pieces of 16 MiB, each by `gzip -6`, joined.

    members.py IN > OUT
"""

import subprocess
import sys

PIECE_BYTES = 16 << 20

with open(sys.argv[1], "rb") as source:
    while piece := source.read(PIECE_BYTES):
        subprocess.run(["gzip", "-6", "-c"], input=piece, check=True)
