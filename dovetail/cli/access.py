"""`dovetail access`: grants of views and the keys that hold them."""

from __future__ import annotations

import getpass
import time
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import typer

from dovetail.cli.ask import conditions
from dovetail.cli.output import Output
from dovetail.cli.session import load_settings, writable

if TYPE_CHECKING:
    from pathlib import Path

    from dovetail.shared.grants import Grant
    from dovetail.shared.keys import Key
    from dovetail.shared.settings import Settings
    from dovetail.shared.tables import Layout

JSON = typer.Option(False, "--json", help="One JSON document.")
DRY = typer.Option(False, "--dry-run", help="Say what would change; write nothing.")
GRANT = typer.Argument(help="The grant's name.", metavar="GRANT")
KEY = typer.Argument(help="The key's id, as dovetail access list shows it.", metavar="KEY")

VIEWS = typer.Option([], help="A view, or * for all of them. May be given again.")
ROLES = typer.Option(["read"], help="read, share, operate, promote or admin. May be given again.")
ROWS = typer.Option([], help="KEY=VALUE,VALUE: only these rows; as --where of dovetail query.")
MASKS = typer.Option([], help="COLUMN=hash, null, last(4), bucket(10) or clear: how a column is seen.")
HELD = typer.Option(help="A grant that it holds. May be given again; the first counts first.")

app = typer.Typer(help="Who may ask what: grants, and the keys that hold them.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    verbs = ((list_, "list"), (grant, "grant"), (drop, "drop"), (key, "key"), (rotate, "rotate"), (revoke, "revoke"))
    for verb, name in (*verbs, (embed, "embed"), (log, "log")):
        app.command(name)(verb)
    parent.add_typer(app, name="access", rich_help_panel="Care")


def list_(context: typer.Context, as_json: bool = JSON) -> None:
    """List grants and keys; of a key all but the key itself, which nobody has any more."""
    from dovetail.shared import access

    output, settings = Output(as_json=as_json), load_settings(context)
    held = access.read(_layout(settings))
    if not settings.access.required:
        output.line("Nobody needs a key: access.required is not set, so only this machine may ask.")
    if held.grants:
        output.table(("grant", "roles", "views", "rows", "columns", "floor"), [_row(g) for g in held.grants.values()])
    else:
        output.line("no grants")
    if held.keys:
        output.line("")
        rows = [(k.id, k.name, ", ".join(k.grants), _day(k.created), _state(k)) for k in held.keys.values()]
        output.table(("key", "name", "grants", "made", "state"), rows)
    keys = [{n: v for n, v in k.as_json().items() if n != "hash"} | {"state": _state(k)} for k in held.keys.values()]
    output.result({"grants": [g.as_json() for g in held.grants.values()], "keys": keys})


def grant(
    context: typer.Context,
    name: str = GRANT,
    view: list[str] = VIEWS,
    role: list[str] = ROLES,
    rows: list[str] = ROWS,
    mask: list[str] = MASKS,
    floor: int = typer.Option(0, min=0, help="Leave out stored groups of fewer records than this."),
    dry_run: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Make a grant, or put another in its place: which views, which of their rows, columns in which form.

    Of several grants of a key the first that names a view is the one that counts for it.
    """
    from dovetail.serving.fields import from_url
    from dovetail.shared.errors import UsageError
    from dovetail.shared.grants import Grant

    given = {f"where.{k}": v for k, v in conditions(rows, option="--rows").items()}
    if "read" in role and not view:
        raise UsageError("a grant to read names no view", next="--view VIEW, or --view '*' for all of them")
    made = Grant(
        name, tuple(dict.fromkeys(role)), tuple(dict.fromkeys(view)),  # type: ignore[arg-type]  # checked there
        rows={k: {op: [*values] for op, values in by.items()} for k, by in from_url(urlencode(given)).where.items()},
        columns=conditions(mask, option="--mask"), floor=floor,
    )  # fmt: skip
    output, settings = Output(as_json=as_json), load_settings(context)
    if not dry_run:
        _change(settings, f"grant {name}", lambda held: held.with_grant(made))
    output.table(("grant", "roles", "views", "rows", "columns", "floor"), [_row(made)])
    _say_dry(output, dry_run)
    output.result(made.as_json())


def drop(context: typer.Context, name: str = GRANT, dry_run: bool = DRY, as_json: bool = JSON) -> None:
    """Take a grant away, from all keys that hold it."""
    from dovetail.shared import access

    output, settings = Output(as_json=as_json), load_settings(context)
    gone = access.read(_layout(settings)).grant(name)
    if not dry_run:
        _change(settings, f"drop {name}", lambda held: held.without_grant(name))
    output.line(f"{name} is taken away from every key")
    _say_dry(output, dry_run)
    output.result(gone.as_json())


def key(
    context: typer.Context,
    name: str = typer.Argument(help="Whose it is, for people to read.", metavar="NAME"),
    grant: list[str] = HELD,
    expires: str = typer.Option("", help="How long it is good, as in 90d; for good where not given.", metavar="TIME"),
    dry_run: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Make a key and show it, this once."""
    from dovetail.shared import access, duration, keys

    output, settings = Output(as_json=as_json), load_settings(context)
    held = access.read(_layout(settings))
    for each in grant:
        held.grant(each)
    end = time.time() + duration.parse(expires).total_seconds() if expires else None
    if dry_run:
        output.line(f"a key of {name} with {', '.join(grant)} would be made")
        _say_dry(output, dry_run)
        return
    text, made = keys.made(name, tuple(dict.fromkeys(grant)), pepper=_pepper(settings), expires=end)
    _change(settings, f"key {made.id}", lambda now: now.with_keys(made))
    _show(output, text, made)


def rotate(
    context: typer.Context,
    id_: str = KEY,
    overlap: str = typer.Option("1h", help="How long the old one goes on.", metavar="TIME"),
    dry_run: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Make a key in the place of another, which goes on for a while."""
    from dovetail.shared import access, duration, keys

    output, settings = Output(as_json=as_json), load_settings(context)
    seconds = duration.parse(overlap).total_seconds()
    old = access.read(_layout(settings)).key(id_)
    if dry_run:
        output.line(f"a key would be made in the place of {id_}, which would go on for {overlap}")
        _say_dry(output, dry_run)
        return
    text, new, ending = keys.rotated(old, pepper=_pepper(settings), overlap=seconds)
    _change(settings, f"rotate {id_} to {new.id}", lambda now: now.with_keys(new, ending))
    output.line(f"{id_} goes on for {overlap}")
    _show(output, text, new)


def revoke(context: typer.Context, id_: str = KEY, dry_run: bool = DRY, as_json: bool = JSON) -> None:
    """End a key now: servers that run know within a second, a live answer that is open ends within a minute."""
    from dataclasses import replace

    from dovetail.shared import access

    output, settings = Output(as_json=as_json), load_settings(context)
    old = access.read(_layout(settings)).key(id_)
    if not dry_run:
        _change(settings, f"revoke {id_}", lambda now: now.with_keys(replace(now.key(id_), revoked=time.time())))
    output.line(f"{id_} ({old.name}) opens nothing any more")
    _say_dry(output, dry_run)
    output.result({"id": id_, "name": old.name})


def embed(
    context: typer.Context,
    view: str = typer.Argument(help="The view to show."),
    question: str = typer.Argument("", help="What is asked of it, as in 'by=country&measures=revenue'."),
    expires: str = typer.Option("30d", help="How long the link is good.", metavar="TIME"),
    as_json: bool = JSON,
) -> None:
    """Have the running server make a link that shows one answer to whoever has it, in a frame too.

    It is made by the key in DOVETAIL_KEY, shows what that key's grant of the view lets be seen, and ends with either.
    The grant needs the role share.
    """
    from dovetail.shared import asking

    output, server = Output(as_json=as_json), load_settings(context).serving.url
    made = asking.embed(server, view, question, expires=expires)
    output.line(made["url"])
    output.line(f"Whoever has this link sees that answer, until {_day(made['expires'])} UTC at the longest.")
    output.result(made)


def log(
    context: typer.Context,
    limit: int = typer.Option(20, min=1, help="The most lines, the newest."),
    as_json: bool = JSON,
) -> None:
    """Show who asked what, and who changed grants and keys."""
    import orjson

    output, settings = Output(as_json=as_json), load_settings(context)
    file = _layout(settings).access / "audit.jsonl"
    found = [orjson.loads(line) for line in _last_lines(file, limit)]
    rows = [(_day(e["time"]), e["who"], e["what"], e.get("view", ""), e.get("receipt", "")) for e in found]
    output.table(("time", "who", "what", "view", "receipt"), rows)
    output.result(found)


def _last_lines(file: Path, n: int) -> list[bytes]:
    if not file.exists():
        return []
    with file.open("rb") as lines:
        return [*deque(lines, maxlen=n)]


def _change(settings: Settings, what: str, how: Any) -> None:
    from dovetail.shared import access, audit

    writable(settings)
    access.change(_layout(settings), how)
    audit.write(_layout(settings), f"{getpass.getuser()} on this machine", what)


def _pepper(settings: Settings) -> bytes:
    from dovetail.shared import access

    return access.pepper(settings.access.pepper, settings.folder, make=True)


def _show(output: Output, text: str, made: Key) -> None:
    output.line(text)
    output.line(
        f"This is the key {made.id} of {made.name}. It is not shown again, and nothing that is kept gives it back."
    )
    output.result({"key": text, "id": made.id, "name": made.name, "grants": made.grants, "expires": made.expires})


def _say_dry(output: Output, dry_run: bool) -> None:
    if dry_run:
        output.line("Nothing written.")


def _layout(settings: Settings) -> Layout:
    from dovetail.shared.tables import Layout

    return Layout.of(settings)


def _row(grant: Grant) -> tuple[str, ...]:
    rows = "; ".join(f"{k} {op} {', '.join(map(str, v))}" for k, by in grant.rows.items() for op, v in by.items())
    masks = ", ".join(f"{column}={mask}" for column, mask in grant.columns.items())
    floor = str(grant.floor) if grant.floor else ""
    return grant.name, ", ".join(grant.roles), ", ".join(grant.views), rows, masks, floor


def _state(key: Key) -> str:
    if key.revoked is not None:
        return f"revoked {_day(key.revoked)}"
    if key.expires is None:
        return "good"
    return f"{'good until' if key.good(time.time()) else 'ended'} {_day(key.expires)}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
