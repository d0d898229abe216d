"""Signs lines of JSON with the package `standardwebhooks`, and checks those that are signed.

Reads {"secret", "id", "body", "timestamp"} or, to be checked, the same with "signature"; writes a line for each: the signature, or "good" or "bad".
"""

import datetime
import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    case = json.loads(line)
    webhook = Webhook(case["secret"])
    if "signature" not in case:
        at = datetime.datetime.fromtimestamp(case["timestamp"], tz=datetime.timezone.utc)
        print(webhook.sign(case["id"], at, case["body"]), flush=True)
        continue
    headers = {
        "webhook-id": case["id"],
        "webhook-timestamp": str(case["timestamp"]),
        "webhook-signature": case["signature"],
    }
    try:
        webhook.verify(case["body"].encode(), headers, json_parse=False)
        print("good", flush=True)
    except WebhookVerificationError:
        print("bad", flush=True)
