"""What the tests of `pvsite-sql load` share: files of readings, the command in this process, and what it has stored."""

from __future__ import annotations

import re
from datetime import timedelta

from commands import called

DATE = re.compile(r"\d{4}-\d\d-\d\d")


def loaded(dsn, *arguments, **options):
    """Run `pvsite-sql load` in this process: exit code, standard output, standard error."""
    return called("load", "--dsn", dsn, *arguments, **options)


def stored(repo):
    """The readings, as start, power and minutes."""
    return [
        (row.start_utc, row.generation_power_kw, (row.end_utc - row.start_utc) / timedelta(minutes=1))
        for row in repo.generation.read()
    ]


def counts(inserted=0, updated=0, skipped=0, rejected=0, differing=0, advice="; --on-conflict update takes {}"):
    """The line that a load ends with. `advice` follows the number of the skipped rows that differ."""
    told = f"{skipped} skipped"
    if differing:
        differ, them = ("differs", "it") if differing == 1 else ("differ", "them")
        told += f" ({differing} of them {differ} from what is stored{advice.format(them)})"
    return f"{inserted} inserted, {updated} updated, {told}, {rejected} rejected\n"


def written(path, text):
    """The path, after the text or the bytes were written there."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def of_site(site, rows):
    """A CSV file of pairs of a time, or a date for its midnight, and a power."""
    starts = [(f"{time}T00:00" if DATE.fullmatch(time) else time, power) for time, power in rows]
    return "site_uuid,start_utc,power_kw\n" + "".join(f"{site.site_uuid},{time},{power}\n" for time, power in starts)
