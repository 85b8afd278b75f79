"""Tells a channel that something is wrong: as the hook of `on_problem`, and from an orchestrator.

ALERT_URL is an incoming webhook that takes {"text": …}, as Slack's and Mattermost's do; without it stderr is told.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request


def alert(text: str) -> None:
    """Sends one message; raises OSError where it cannot be sent."""
    sys.stderr.write(f"alert: {text}\n")
    if url := os.environ.get("ALERT_URL"):
        body = json.dumps({"text": text}).encode()
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  your own
        urllib.request.urlopen(asked, timeout=10).close()  # noqa: S310


if __name__ == "__main__":
    event = json.load(sys.stdin)
    about = f" of {event['view']}" if event["view"] else ""
    way_on = f"\nnext: {event['next']}" if event.get("next") else ""
    alert(f"dovetail {event['verb']}{about}: {event['what']}{way_on}")
