"""Writes conf/spark-classes.txt anew: the classes that Spark's JVM loads in any of Dovetail's verbs. `make classes`.

Each verb runs once on the shop example, with a broker and records, and its JVM notes what it loads.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.layers import free_port
from dovetail.cli import generate
from dovetail.cli.stack import Stack, stack
from dovetail.shared import project as projects
from dovetail.shared import settings, template
from dovetail.shared.broker import Broker
from dovetail.shared.engine import JAVA_OPTIONS, QUICK
from dovetail.shared.log import Log

TARGET = Path(__file__).resolve().parent.parent / "conf" / "spark-classes.txt"
HEAD = "# What Spark's JVM loads in Dovetail's verbs, for shared/class_archive.py. Made by `make classes`.\n"
MADE_ANEW = re.compile(r"\$Proxy\d|Generated(Method|Constructor|Serialization|Class)|\$Species_|^#")
"""What a JVM makes for itself, under other names each time."""
READY_S, SETTLE_S = 600, 60


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dovetail-classes-") as folder:
        record(Path(folder) / "shop")
        lines = {line for file in Path(folder).glob("*.classes") for line in file.read_text().splitlines()}
    # Two JVMs of one verb leave a hole in their file.
    kept = sorted({line.strip("\0") for line in lines if not MADE_ANEW.search(line)})
    TARGET.write_text(HEAD + "\n".join(kept) + "\n")
    print(f"{len(kept):,} lines in {TARGET.name}")


def record(shop: Path) -> None:
    template.create(shop, "shop")
    with Broker.start(shop.parent / "kafka", port=free_port()) as broker, stack(shop, shop.parent) as (layers, outer):
        os.environ["DOVETAIL__KAFKA__BOOTSTRAP"] = broker.bootstrap
        project = projects.load(settings.load(shop))
        log, source = Log(broker.bootstrap, {}), next(iter(project.sources.values()))
        log.create(source.topic, partitions=2)
        records = generate.load(shop / project.settings.dev.generator, seed=7)
        outer.callback(generate.Generator(log, source.topic, records, 50).start().stop)
        for layer in ("speed", "archive"):
            start(layers, layer)
        time.sleep(SETTLE_S)
        for number, verb in enumerate(("batch", "batch", "prove", "check --deep", "trace fact_orders 0@3")):
            subprocess.run(
                [sys.executable, "-m", "dovetail", *verb.split()],
                cwd=shop,
                env={**os.environ, **noting(shop.parent / f"{number}.classes", heavy=verb == "batch")},
                check=False,  # what it answers is not asked here
            )


def start(layers: Stack, layer: str) -> None:
    child = layers.start(layer, layer, "--json", env=noting(layers.logs / f"{layer}.classes"))
    layers.wait(layer, child.ready.is_set, seconds=READY_S)


def noting(file: Path, *, heavy: bool = False) -> dict[str, str]:
    """The environment in which a verb's JVM writes the names of what it loads to `file`."""
    options = ["-Xshare:off", f"-XX:DumpLoadedClassList={file}", *([] if heavy else QUICK)]
    conf = json.dumps({JAVA_OPTIONS: " ".join(options)})
    return {"DOVETAIL_CLASS_ARCHIVE": "off", "DOVETAIL__SPARK__CONF": conf}


if __name__ == "__main__":
    main()
