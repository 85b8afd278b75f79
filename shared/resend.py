"""Sends corrected records in place of those in quarantine: first the ledger says so, then they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.shared import commit, produce
from dovetail.shared import supersede as rules
from dovetail.shared.corrections import Correction
from dovetail.shared.declare import Source
from dovetail.shared.errors import NotYet, ServiceMissing, UsageError
from dovetail.shared.failpoints import failpoint
from dovetail.shared.ledger import CommitId, LedgerRow, VersionId
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.locks import held
from dovetail.shared.log import Log
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import RecordId, named
from dovetail.shared.quarantine import Held, Quarantine
from dovetail.shared.tables import Layout
from dovetail.shared.versions import Bundle, load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HEADER = "dovetail-supersedes"
SHOWN = 5

Reader = Callable[[Mapping[str, Any], Sequence[Held]], Sequence[RecordId]]
"""Which of these records a decoder takes, so that a version with it counts them."""


@dataclass(frozen=True)
class Resent:
    """Where each corrected record lies now, by the place of the one it stands for; `seq` is None where none was new."""

    sent: Mapping[RecordId, RecordId]
    seq: int | None


def resend(
    layout: Layout, source: Source, log: Log, corrections: Sequence[Correction], *, again: bool, reader: Reader
) -> Resent:
    """Supersedes the records and sends the corrected ones, each to the partition of the one it stands for.

    Killed between the two, nothing is lost from the books and nothing is sent: `again` sends it then.

    Args:
        again: send also for records that an earlier resend put right; they are superseded already.

    Raises:
        UsageError: a record is not in quarantine, was put right before, or a version in force counts it.
        Busy: another resend of this source is running.
        ServiceMissing: no topic, or some were not acknowledged; says which.
    """
    with held(layout.lock(f"supersede-{source.name}"), f"a resend of {source.name}"):
        produce.ready(log, source.topic)  # before anything is superseded for nothing
        if not again:
            refuse_put_right([c.held for c in corrections], source.name)
        fresh = [c.held for c in corrections if c.held.put_right is None]
        seq = _superseded(layout, source, fresh, reader=reader).seq if fresh else None
        done = Resent(_sent(layout, log, source, corrections), seq)
        rules.tidy(layout, source.name)
        return done


def refuse(layout: Layout, source: str, records: Sequence[Held], *, again: bool, reader: Reader) -> None:
    """Raises what `resend` would, as things stand now."""
    last = DeltaLedger(layout.ledger(source)).last()
    if last is None:
        raise NotYet(f"{source} was never read", next=f"dovetail speed {source}")
    if not again:
        refuse_put_right(records, source)
    _refuse_counted(layout, source, [r for r in records if r.put_right is None], last, reader)


def refuse_put_right(records: Sequence[Held], source: str) -> None:
    """Raises UsageError where a record was superseded before."""
    done = [r.place for r in records if r.put_right is not None]
    if done:
        were = "was" if len(done) == 1 else "were"
        raise UsageError(
            f"{named(done, most=SHOWN)} of {source} {were} put right by an earlier resend",
            why="what is sent once more is counted once more, unless the source has an event_id",
            next="--again sends it once more, for a resend that was cut short",
        )


def readable(decoder: Mapping[str, Any], records: Sequence[Held], spark: SparkSession) -> list[RecordId]:
    """Those of the records that views with this decoder count."""
    from dovetail.shared.decode import POSITION, RAW, REASON, decode
    from dovetail.shared.engine import arrow

    rows = [(r.place.partition, r.place.offset, r.timestamp, r.key, r.value, None) for r in records]
    found = decode(spark.createDataFrame(rows, RAW), decoder).where(f"{REASON} is null").select(*POSITION)
    return [RecordId(*row.values()) for row in arrow(found).to_pylist()]


def _superseded(layout: Layout, source: Source, records: Sequence[Held], *, reader: Reader) -> LedgerRow:
    places, decoders = [r.place for r in records], {r.decoder for r in records}

    def allowed(last: LedgerRow) -> None:
        now = Quarantine(layout, source.name).records(places)
        refuse_put_right(now, source.name)
        _refuse_counted(layout, source.name, now, last, reader)

    def write(commit_id: CommitId, seq: int) -> None:
        rules.write(layout, source.name, places, commit_id, seq)

    decoder = decoders.pop() if len(decoders) == 1 else ""
    return commit.supersede(DeltaLedger(layout.ledger(source.name)), write, allowed=allowed, decoder=decoder)


def _refuse_counted(layout: Layout, source: str, records: Sequence[Held], last: LedgerRow, reader: Reader) -> None:
    """Raises UsageError where a version counts a record, in force or as what answers: it is in quarantine for others.

    Versions that decode as the record's commit did had the same reason; of others the decoder is asked.
    """
    for bundle in (load(layout.version(version)) for version in sorted({*last.versions, *_live(layout)})):
        if bundle.source != source:
            continue
        asked = _otherwise_decoded(bundle, records)
        counted = reader(bundle.decoder, asked) if asked else ()
        if counted:
            raise UsageError(
                f"{named(counted, most=SHOWN)} of {source} must not be sent again: {bundle.version} counts it as it is",
                why="it was put in quarantine under another declaration than this version's",
                next=f"dovetail batch {bundle.name} --full, where the declaration has changed since",
            )


def _live(layout: Layout) -> Iterator[VersionId]:
    """What answers for each view of the project."""
    for folder in layout.root.glob("views/*"):
        manifest = DeltaManifest(layout.manifest(folder.name)).read()
        if manifest is not None:
            yield manifest.live


def _otherwise_decoded(bundle: Bundle, records: Sequence[Held]) -> list[Held]:
    from dovetail.shared.decode import decoder_id

    own = decoder_id(bundle.decoder)
    return [r for r in records if r.decoder != own]


def _sent(layout: Layout, log: Log, source: Source, corrections: Sequence[Correction]) -> dict[RecordId, RecordId]:
    producer, sent, failures = log.producer(), dict[RecordId, RecordId](), list[str]()

    def remember(place: RecordId) -> Callable[[Any, Any], None]:
        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failures.append(str(error))
            else:
                sent[place] = RecordId(message.partition(), message.offset())

        return delivered

    for each in corrections:
        place = each.held.place
        record = {"value": each.value, "key": each.held.key, "partition": place.partition}
        headers = [(HEADER, str(place).encode())]
        while True:
            try:
                producer.produce(source.topic, **record, headers=headers, on_delivery=remember(place))
                break
            except BufferError:  # its queue is full: wait for some to be acknowledged
                producer.poll(0.1)
    producer.flush(2 * produce.PATIENCE_S)
    failpoint("resend.sent")
    rules.note_sent(layout, source.name, sent)
    missing = [c.held.place for c in corrections if c.held.place not in sent]
    if missing:
        raise ServiceMissing(
            f"{len(missing):,} of {len(corrections):,} records were not acknowledged: {named(missing, most=SHOWN)}",
            where=log.bootstrap,
            why=failures[0] if failures else "no answer came in time",
            next="dovetail doctor; then resend these with --again",
        )
    return sent
