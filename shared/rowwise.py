"""What a transform may not use, because its rows would no longer be worked out one by one; and what to do instead.

A micro-batch holds other rows than a batch does: what depends on the other rows, on the time or on the machine would
give one answer below the cut and another one above it.
"""

from __future__ import annotations

import re

AGGREGATE = (
    "a transform works row by row: declare it as a measure of the view (dv.count, dv.sum, dv.min, dv.max, dv.avg)"
)
ORDER = "which rows there are, and their order, differ between a micro-batch and a batch: order and limit in the query"
WINDOW = "a row cannot see other rows, which may lie on the other side of the cut: use the view's keys and bucket"
CLOCK = "batch would get another value than speed did: use the event time or a column of the record"
PLACE = "the value depends on where the record is processed: use a column of the record"
ACTION = "a transform only describes what to do with a row: return the DataFrame, and act on the answers"
READ = "a transform sees the record and nothing else: for a small table of the project there is dv.transforms.lookup"
JOIN = (
    "a join inside a transform pairs rows that may lie on either side of the cut: for a small table there is "
    "dv.transforms.lookup"
)
PINNED = (
    "the file is read anew whenever this runs, and is no part of the view's version: declare it at the top of a file, "
    "as in PRODUCTS = dv.transforms.lookup(…), and use that"
)
LAYER = "both layers must do the same: leave it out"
CODE = "what it runs cannot be read: call a def in a file of the project"


def _each(names: str, reason: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), reason)


FUNCTIONS = {
    **_each(
        """any_value approx_count_distinct approxCountDistinct approx_percentile avg bit_and bit_or bit_xor bool_and
        bool_or collect_list collect_set corr count countDistinct count_distinct count_if count_min_sketch covar_pop
        covar_samp every first first_value grouping grouping_id histogram_numeric kurtosis last last_value listagg
        listagg_distinct max max_by mean median min min_by mode percentile percentile_approx product skewness some std
        stddev stddev_pop stddev_samp string_agg_distinct sum sumDistinct sum_distinct try_avg try_sum var_pop var_samp
        variance""",
        AGGREGATE,
    ),
    **_each(
        """window session_window window_time lag lead row_number rank dense_rank percent_rank cume_dist ntile
        nth_value""",
        WINDOW,
    ),
    **_each(
        """current_timestamp current_date current_time curdate now localtimestamp rand randn random randstr uniform uuid
        shuffle monotonically_increasing_id""",
        CLOCK,
    ),
    **_each(
        """input_file_name input_file_block_start input_file_block_length spark_partition_id current_user session_user
        user current_catalog current_database current_schema current_path current_timezone version""",
        PLACE,
    ),
    **_each("reflect try_reflect java_method", CODE),
}
"""Functions of pyspark.sql.functions and of SQL."""

METHODS = {
    **_each(
        """groupBy groupby groupingSets agg rollup cube pivot crosstab freqItems describe summary approxQuantile
        distinct dropDuplicates drop_duplicates dropDuplicatesWithinWatermark observe""",
        AGGREGATE,
    ),
    **_each(
        """orderBy sort sortWithinPartitions limit offset head take first tail sample sampleBy randomSplit intersect
        intersectAll subtract exceptAll transpose""",
        ORDER,
    ),
    **_each("over withWatermark", WINDOW),
    **_each(
        """collect count show toPandas toArrow toLocalIterator foreach foreachPartition foreachBatch persist cache
        unpersist checkpoint localCheckpoint isEmpty writeTo pandas_api toJSON createTempView createOrReplaceTempView
        createGlobalTempView createOrReplaceGlobalTempView registerTempTable""",
        ACTION,
    ),
    **_each("table createDataFrame read_text read_bytes", READ),
    **_each("crossJoin lateralJoin", JOIN),
}
"""Methods of DataFrame and Column, by name alone: what they are called on is not known before the code runs."""

PROPERTIES = {
    **_each("write writeStream rdd", ACTION),
    **_each("readStream sparkSession sql_ctx", READ),
    **_each("isStreaming", LAYER),
}
"""Attributes of a DataFrame that need no call to do harm."""

CLASSES = {**_each("Window WindowSpec", WINDOW), **_each("SparkSession SparkContext", READ)}
"""Classes of pyspark."""

PYTHON = (
    (re.compile(r"(datetime\.(datetime|date)|pandas\..*Timestamp)\.(now|utcnow|today)"), CLOCK),
    (re.compile(r"time\.(time|monotonic|perf_counter|process_time|localtime|gmtime|ctime)(_ns)?"), CLOCK),
    (
        re.compile(r"(random|secrets|numpy\.random)\..*|uuid\.(?!UUID\b|uuid3\b|uuid5\b|NAMESPACE_).*|os\.urandom"),
        CLOCK,
    ),
    (re.compile(r"os\.(environb?|getenvb?|getcwd|getpid|cpu_count)|socket\..*|platform\..*"), PLACE),
    (re.compile(r"(io|_io|builtins)\.(open|input)|os\.open|(requests|httpx|urllib\.request)\..*"), READ),
    (re.compile(r"dovetail\.shared\.transforms\.(pinned\.)?lookup"), PINNED),
    (re.compile(r"builtins\.(eval|exec|__import__)|importlib\.import_module|subprocess\..*|os\.(system|popen)"), CODE),
)
"""What Python itself offers, by module and name."""

TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(\s*(\))?")
_UNCALLED = re.compile(
    r"\b(current_timestamp|current_date|current_time|localtimestamp|current_user|select)\b(?!\s*\()", re.I
)
_SKETCH = re.compile(r".*_agg(_.*)?|regr_.*")
_SQL = {name.lower(): reason for name, reason in FUNCTIONS.items()} | {"over": WINDOW, "any": AGGREGATE}


def function_reason(name: str) -> str | None:
    """Why a function of pyspark.sql.functions may not be used; None where it may."""
    return FUNCTIONS.get(name) or (AGGREGATE if _SKETCH.fullmatch(name) else None)


def python_reason(dotted: str) -> str | None:
    """Why a Python function, by module and name, may not be used; None where it may."""
    return next((reason for pattern, reason in PYTHON if pattern.fullmatch(dotted)), None)


def sql_reasons(text: str) -> list[tuple[str, str]]:
    """The functions in a piece of SQL that may not be used, each with the reason; found by their names alone.

    >>> [name for name, _ in sql_reasons("greatest(a, sum(b)) > 0 and c <> 'max(' and d < now()")]
    ['sum', 'now']
    """
    bare = TEXT.sub(" ", text)
    found = []
    for match in _CALLED.finditer(bare):
        name, empty = match[1].lower(), match[2] is not None
        reason = _SQL.get(name) or function_reason(name)
        if name == "unix_timestamp" and empty:
            reason = CLOCK
        if reason:
            found.append((match[1], reason))
    for match in _UNCALLED.finditer(bare):
        found.append((match[1], READ if match[1].lower() == "select" else _SQL[match[1].lower()]))
    if "${" in text:  # replaced by a setting or a variable of the environment, also inside a quoted text
        found.append(("${", PLACE))
    return found
