"""A sender of webhooks, written from Standard Webhooks 1.0.0 and Fasten's rules of delivery alone.

    python3 sender.py URL SECRET EVENTS LOG SEED

EVENTS has a line for each event: {"id": ..., "signed": true or false, "body": {...}}. Each is delivered one to five times, all deliveries in a
random order, by 16 clients. A delivery is tried again until it is answered as it should be: with 2xx if it is signed rightly, with 401 if not.
LOG gets a line for each answer: {"id": ..., "signed": ..., "status": ...}, where status 0 is no answer.
"""

import base64
import hashlib
import hmac
import http.client
import json
import random
import sys
import threading
import time
import urllib.parse

CLIENTS = 16
MOST_TRIES = 600
ANSWER_WITHIN_SECONDS = 60


def sign(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def post(url, headers, body):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=ANSWER_WITHIN_SECONDS)
    try:
        connection.request("POST", url.path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def deliver(url, secret, event, log, lock, chance):
    wanted = range(200, 300) if event["signed"] else range(401, 402)
    for attempt in range(MOST_TRIES):
        event["body"]["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = json.dumps(event["body"]).encode()
        timestamp = str(int(time.time()))
        message_id = "msg_" + event["id"]
        signature = sign(secret, message_id, timestamp, body)
        if not event["signed"]:
            signature = sign(secret, message_id, timestamp, body + b" ")
        headers = {
            "Content-Type": "application/json",
            "Webhook-Id": message_id,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": signature,
        }
        status = post(url, headers, body)
        with lock:
            log.write(json.dumps({"id": event["id"], "signed": event["signed"], "status": status}) + "\n")
            log.flush()
        if status in wanted:
            return
        time.sleep(chance.uniform(0.02, 0.2))
    raise SystemExit(f"the event {event['id']} was not accepted")


def main():
    url, secret, events, log, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    deliveries = []
    for line in open(events):
        for _ in range(chance.randint(1, 5)):
            deliveries.append(json.loads(line))
    chance.shuffle(deliveries)
    lock = threading.Lock()
    with open(log, "w") as out:

        def client(number):
            own = random.Random(f"{seed}-{number}")
            while True:
                with lock:
                    if not deliveries:
                        return
                    event = deliveries.pop()
                deliver(urllib.parse.urlparse(url), secret, event, out, lock, own)

        clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()


main()
