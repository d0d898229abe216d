"""What somebody writes in an afternoon: parse each line, append it to the file of its type.

    split.py json|orjson IN FOLDER
"""

import importlib
import os
import sys

library, source, out = sys.argv[1:]
loads = importlib.import_module(library).loads
files = {}
with open(source, "rb") as lines:
    for line in lines:
        kind = loads(line)["resourceType"]
        if kind not in files:
            files[kind] = open(os.path.join(out, kind + ".ndjson"), "wb")
        files[kind].write(line)
for file in files.values():
    file.close()
