"""Makes the calls that every client makes, with numbers as user ids: client.py HOST WRITE_KEY COUNT."""

import sys
from datetime import datetime, timedelta, timezone

from segment.analytics import Client

START = datetime(2026, 3, 1, 9, tzinfo=timezone.utc)


def make_calls(client: Client, count: int) -> None:
    for n in range(count):
        user_id = 1000 + n
        timestamp = START + timedelta(seconds=n)
        client.identify(user_id, {"n": n, "name": "Zoë ☕", "plan": "pro"}, timestamp=timestamp)
        order = {
            "n": n,
            "total": n + 0.25,
            "big": 9007199254740991,
            "name": "Zoë ☕",
            "orderedAt": timestamp,
            "address": {"city": "東京", "lines": ["1", "2"]},
            "products": [{"sku": f"sku-{n}", "quantity": 2}],
        }
        client.track(user_id, "Order Completed", order, timestamp=timestamp)
        client.page(user_id, name="Home", properties={"n": n}, timestamp=timestamp)
        client.screen(user_id, name="Home", properties={"n": n}, timestamp=timestamp)
        client.group(user_id, f"group-{n}", {"n": n}, timestamp=timestamp)
        client.alias(f"anonymous-{n}", user_id, timestamp=timestamp)


def main(host: str, write_key: str, count: int) -> None:
    failures = []

    def on_error(error, _batch):
        failures.append(error)

    # snippet
    client = Client(write_key, host=host, upload_size=20, on_error=on_error)
    # end
    make_calls(client, count)
    client.shutdown()
    if failures:
        sys.exit(f"{len(failures)} batches failed: {failures[0]}")


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
