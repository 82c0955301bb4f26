# Reads dotenv files as python-dotenv does: see compose/main.go.
import base64, io, json, os, sys
from dotenv import dotenv_values

os.environ.clear()
for line in sys.stdin:
    text = base64.b64decode(json.loads(line))
    try:
        stream = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8")  # as it opens a file
        values = dotenv_values(stream=stream)
        print(json.dumps({k: base64.b64encode((v or "").encode()).decode() for k, v in values.items()}))
    except UnicodeError:
        print("null")
