"""The control of the freshness benchmark: a speed layer as people write it, with Spark's own Delta writer.

As the manuals set it up, or with every setting of Spark, Delta and the JVM that Dovetail runs with.
"""

from __future__ import annotations

import sys
import tempfile

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from dovetail.shared.engine import CONF, QUICK
from dovetail.shared.jars import ensure
from dovetail.speed import job as speed

NEEDED = (
    "spark.ui.enabled",
    "spark.driver.bindAddress",
    "spark.driver.host",
    "spark.sql.extensions",
    "spark.sql.catalog.spark_catalog",
)


def main(bootstrap: str, table: str, schema: str, settings: str) -> None:
    conf = {name: CONF[name] for name in NEEDED} | {"spark.driver.memory": "3g"}
    if settings == "tuned":
        conf |= {**CONF, **speed.CONF, "spark.driver.extraJavaOptions": " ".join(QUICK)}
    builder = SparkSession.builder.appName("handwritten").master("local[2]")
    for name, value in {**conf, "spark.jars": ",".join(map(str, ensure("spark")))}.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()

    def append(records: DataFrame, _batch_id: int) -> None:
        rows = records.select(F.from_json(F.col("value").cast("string"), schema).alias("r")).select("r.*")
        states = rows.groupBy("key", F.date_trunc("hour", "at").alias("hour")).agg(
            F.count(F.lit(1)).alias("rows"), F.sum("amount").alias("amount"), F.max("probe").alias("newest")
        )
        states.write.format("delta").mode("append").save(table)

    (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", "events")
        .option("startingOffsets", "latest")
        .load()
        .writeStream.foreachBatch(append)
        .option("checkpointLocation", tempfile.mkdtemp())
        .start()
        .awaitTermination()
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
