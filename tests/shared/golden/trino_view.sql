CREATE OR REPLACE VIEW "l"."v"."sales" COMMENT 'sales@0123456789abcdef, generation 2, cut at seq 7' SECURITY DEFINER AS
WITH above AS (
  SELECT seq, kind, commit_id, element_at(versions, 'sales@0123456789abcdef') AS named FROM "l"."t"."ledger" WHERE seq > 7
),
found AS (
  SELECT _commit_id, count(*) AS n FROM "l"."t"."states" WHERE _seq > 7 GROUP BY _commit_id
),
held AS (
  SELECT a.seq, a.kind, a.named, coalesce(f.n, 0) AS n FROM above a LEFT JOIN found f ON f._commit_id = a.commit_id
),
checked AS (
  SELECT
    coalesce(min(seq) FILTER (WHERE kind = 'detach' AND named IS NULL), 9223372036854775807) AS detached,
    coalesce(min(seq) FILTER (WHERE named IS NULL), 9223372036854775807) AS missed,
    coalesce(min(seq) FILTER (WHERE n < named), 9223372036854775807) AS unseen,
    coalesce(max(seq) FILTER (WHERE named > 0 AND n >= named), -1) AS whole,
    count_if(n > named) AS extra,
    coalesce(max(seq), 7) - 7 - count(*) AS lost,
    (SELECT CAST(json_value(max_by(manifest, revision), 'lax $.floors."sales@0123456789abcdef"'
      DEFAULT '-1' ON EMPTY) AS bigint)
      FROM "l"."t"."manifest" WHERE revision >= 4) AS pruned
  FROM held
),
fitting AS (
  SELECT problem IS NULL OR CAST(problem || CAST(lost AS varchar) AS boolean) AS fits, CAST(CAST(problem || CAST(lost AS varchar) AS boolean) AS varchar) AS nothing FROM (SELECT lost, CASE
    WHEN pruned > 7 THEN 'sales cannot be answered: states above its cut have been pruned, next: dovetail trino sync; '
    WHEN lost <> 0 THEN 'sales cannot be answered: rows of its ledger are missing, next: dovetail doctor; '
    WHEN missed < detached THEN 'sales cannot be answered: sales@0123456789abcdef was not in force for every record, next: dovetail trino sync; '
    WHEN extra > 0 THEN 'sales cannot be answered: commits hold more rows than the ledger says, next: dovetail doctor; '
    WHEN unseen < least(whole, detached) THEN 'sales cannot be answered: rows of commits are missing, next: dovetail doctor; '
  END AS problem FROM checked)
),
merged AS (
  SELECT
    "country",
    _bucket,
    sum("count_e1224e51") AS "count_e1224e51",
    sum("sum_dd9ddbdb") AS "sum_dd9ddbdb",
    sum("count_90ffcb16") AS "count_90ffcb16"
  FROM (
    SELECT s."country" AS "country", s._bucket, s."count_e1224e51", s."sum_dd9ddbdb", s."count_90ffcb16", 1 AS _stored FROM "l"."t"."run" s
    UNION ALL
    SELECT s."country" AS "country", s._bucket, s."count_e1224e51", s."sum_dd9ddbdb", s."count_90ffcb16", 1 AS _stored FROM "l"."t"."states" s JOIN above a ON s._commit_id = a.commit_id CROSS JOIN checked c
    WHERE s._seq > 7 AND a.seq < least(c.detached, c.unseen)
    UNION ALL
    SELECT CAST(nothing AS varchar), CAST(nothing AS timestamp(3) with time zone), NULL, NULL, NULL, 0 FROM fitting WHERE fits
  )
  GROUP BY "country", _bucket
  HAVING max(_stored) > 0
)
SELECT
  m."country" AS "country",
  m._bucket AS "bucket",
  coalesce(m."count_e1224e51", 0) AS "lines",
  CAST(m."sum_dd9ddbdb" AS decimal(38,6)) / nullif(coalesce(m."count_90ffcb16", 0), 0) AS "price",
  m."sum_dd9ddbdb" AS "price__sum",
  coalesce(m."count_90ffcb16", 0) AS "price__count",
  "of shops"."c0" AS "region"
FROM merged m
LEFT JOIN "l"."t"."dimension_shops" "of shops" ON TRY_CAST("of shops"."key" AS varchar) = m."country"
