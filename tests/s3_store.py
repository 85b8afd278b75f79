"""A store that speaks S3 on loopback: moto's server in a process of its own, ended with the block."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

BUCKET = "lake"
ROOT = "DOVETAIL_TEST_ROOT"
"""The variable that tells tests below which prefix their projects have their storage roots."""
UP_WITHIN_S = 60.0


@contextmanager
def store(folder: Path) -> Iterator[dict[str, str]]:
    """The variables by which AWS's tools reach a new store with one empty bucket."""
    port, log = folder / "port", folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, __file__, str(port)], stdout=out, stderr=out)
    try:
        end = time.monotonic() + UP_WITHIN_S
        while not (port.exists() and port.read_text()):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < end, "the store does not come up"
            time.sleep(0.1)
        yield variables(int(port.read_text()))
    finally:
        process.kill()
        process.wait(30)


def variables(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }


def main(command: list[str]) -> int:
    """Runs a command whose projects have their storage roots in such a store; its exit code."""
    with TemporaryDirectory(prefix="dovetail-s3-") as folder, store(Path(folder)) as found:
        return subprocess.run(command, env={**os.environ, **found, ROOT: f"s3://{BUCKET}"}).returncode


def serve(port: Path) -> None:
    """Serves until it is killed; `port` is where it says at which port."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    found = server.get_host_and_port()[1]
    os.environ.update(variables(found))
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    port.write_text(str(found))
    while True:
        time.sleep(60)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        serve(Path(sys.argv[1]))
    sys.exit(main(sys.argv[1:]))
