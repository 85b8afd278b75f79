"""What becomes of the records of a sample under a declaration, and under the versions that answer now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.shared.changes import TOMBSTONES
from dovetail.shared.declare import Source
from dovetail.shared.decode import POSITION, REASON, decode
from dovetail.shared.drift import Finding, Level
from dovetail.shared.engine import arrow
from dovetail.shared.fields import Fields
from dovetail.shared.judge import broken_by
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import RecordId
from dovetail.shared.project import Project
from dovetail.shared.rules import Rule
from dovetail.shared.versions import load, short

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PLACE = [(column, "ascending") for column in POSITION]


@dataclass
class Group:
    """Records of one kind: how many, and the first of them."""

    first: RecordId
    records: int = 0


@dataclass(frozen=True)
class Sample:
    """The newest records of a source's topic, columns of META, and their fields."""

    source: Source
    rows: DataFrame
    fields: Fields

    def judged(self, decoder: Mapping[str, Any], rules: Sequence[Rule] = ()) -> list[dict[str, Any]]:
        """Each record's place and why views with this decoder do not see it, in order; and by number which rules it
        breaks."""
        broken = (f"{broken_by(rule)} as `{n}`" for n, rule in enumerate(rules))
        found = arrow(decode(self.rows, decoder).selectExpr(*POSITION, REASON, *broken))
        return list(found.sort_by(PLACE).to_pylist())


@dataclass(frozen=True)
class Verdicts:
    """What a source's declaration makes of each record of a sample; `limit` is the share of them that is too much."""

    sample: Sample
    records: Sequence[Mapping[str, Any]]
    rules: Sequence[Rule]
    limit: float | None

    @classmethod
    def of(cls, sample: Sample, limit: float | None) -> Verdicts:
        rules = [r for r in sample.source.rules if isinstance(r, Rule)]
        return cls(sample, sample.judged(sample.source.as_json(), rules), rules, limit)

    @property
    def seen(self) -> int:
        """The records that views would count."""
        return sum(each[REASON] is None for each in self.records)

    def quarantine(self) -> Iterator[Finding]:
        """What would go to quarantine, by reason."""
        reasons = groups((place, why) for place, why in placed(self.records, REASON) if why and why not in self._drops)
        level = self._level(sum(g.records for g in reasons.values()))
        clashes = {f"{name} is not {kind}": name for name, kind in self.sample.source.columns.items()}
        for reason, group in reasons.items():
            column = clashes.get(reason, "")
            held = self.sample.fields.get(column)
            always = held is not None and group.records == held.values
            yield Finding(
                "fail" if always else level,
                "quarantine",
                f"{self._of(group)} would go to quarantine: {reason}, first {group.first}",
                column,
                group.records,
                group.first,
                self._mend(column),
            )

    def broken(self) -> Iterator[Finding]:
        """What the rules say that do not send to quarantine."""
        then = {"drop": "would be dropped", "fail": "would stop the job", "warn": "would be counted with a warning"}
        for n, rule in enumerate(self.rules):
            places = [(place, rule.reason) for place, broken in placed(self.records, str(n)) if broken]
            for reason, group in groups(places).items() if rule.otherwise in then else ():
                said = f"{self._of(group)} {then[rule.otherwise]}: {reason}, first {group.first}"
                level: Level = "fail" if rule.otherwise == "fail" else "note" if rule == TOMBSTONES else "warn"
                yield Finding(level, "rule", said, "", group.records, group.first, where=rule.where)

    def against(self, names: str, decoder: Mapping[str, Any]) -> Iterator[Finding]:
        """What versions with this decoder count and the declaration would not, and the other way about."""
        both = zip(placed(self.records, REASON), self.sample.judged(decoder), strict=True)
        pairs = [(place, now, then[REASON]) for (place, now), then in both]
        refused = groups((place, now) for place, now, then in pairs if now and not then)
        level = self._level(sum(g.records for g in refused.values()))
        for reason, group in refused.items():
            then = "would be dropped" if reason in self._drops else "would go to quarantine"
            said = f"{self._of(group)} that {names} counts {then}: {reason}, first {group.first}"
            yield Finding(level, "refused", said, "", group.records, group.first)
        for reason, group in groups((place, then) for place, now, then in pairs if then and not now).items():
            said = f"{self._of(group)} would be counted that {names} does not count: {reason}, first {group.first}"
            yield Finding("note", "accepted", said, "", group.records, group.first)

    def _mend(self, column: str) -> str:
        source, held = self.sample.source, self.sample.fields.get(column)
        if held is None or column == source.event_time or held.type == source.columns[column]:
            return f"mend the producer of {column}" if column else ""
        return f"declare {column} {held.type}, or mend its producer"

    @property
    def _drops(self) -> set[str]:
        return {rule.reason for rule in self.rules if rule.otherwise == "drop"}

    def _level(self, n: int) -> Level:
        return "fail" if self.limit is not None and n > self.limit * len(self.records) else "warn"

    def _of(self, group: Group) -> str:
        """`12 of 1,000 records`"""
        return f"{group.records:,} of {len(self.records):,} records"


def live(project: Project, source: Source) -> list[tuple[str, Mapping[str, Any]]]:
    """The decoders of what answers now for views of the source, but for the declared one; each with its versions."""
    found: list[tuple[list[str], Mapping[str, Any]]] = []
    for view in project.views_of(source):
        manifest = DeltaManifest(project.layout.manifest(view.name)).read()
        bundle = load(project.layout.version(manifest.live)) if manifest else None
        if bundle is None or (bundle.source, bundle.topic) != (source.name, source.topic):
            continue
        alike = [names for names, decoder in found if decoder == bundle.decoder]
        if alike:
            alike[0].append(short(bundle.version))
        elif bundle.decoder != source.as_json():
            found.append(([short(bundle.version)], bundle.decoder))
    return [(" and ".join(names), decoder) for names, decoder in found]


def groups(records: Iterable[tuple[RecordId, str]]) -> dict[str, Group]:
    """By reason, most records first."""
    found: dict[str, Group] = {}
    for place, reason in records:
        found.setdefault(reason, Group(place)).records += 1
    return dict(sorted(found.items(), key=lambda item: -item[1].records))


def placed(records: Iterable[Mapping[str, Any]], column: str) -> Iterator[tuple[RecordId, Any]]:
    for each in records:
        yield RecordId(*(each[c] for c in POSITION)), each[column]
