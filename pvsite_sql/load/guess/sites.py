"""Finds the column that names the sites."""

from __future__ import annotations

from collections.abc import Sequence

from .findings import Findings

__all__ = ["find_sites", "needs_site"]

_SITES = {
    *(
        "site",
        "plant",
        "anlage",
        "system",
        "meter",
        "station",
        "entity",
        "serial",
        "unit",
        "inverter",
        "device",
        "mpan",
    ),
    *("client", "customer", "gsp", "pes", "id", "name", "installation", "zähler", "wechselrichter"),
}


def find_sites(findings: Findings, others: Sequence[int | None]) -> None:
    """Find the column that names the sites, which is none of the others: those of times and the power."""
    if any(findings.known(keyword) for keyword in ("site_uuid", "site_column", "wide")):
        return
    keys = [
        position
        for position in findings.of_kind("uuid", "text", "number")
        if position not in others and _is_key(findings, position)
    ]
    uuids = [position for position in keys if findings.kinds[position] == "uuid"]
    if uuids:
        if findings.name(uuids[0]) != "site_uuid":
            findings.options["site_column"] = findings.reference(uuids[0])
        return
    columns = [findings.cells[position] for position in others[:-1] if position is not None]
    moments = list(zip(*columns, strict=True))
    if len(set(moments)) == len(moments):
        _tell_the_only_site(findings, keys)
        return
    telling = [each for each in keys if len(set(zip(findings.cells[each], moments, strict=True))) == len(moments)]
    if not telling:
        findings.doubts.append(
            "several rows have the same time: say --site-column if they are of several sites, --ambiguous if clocks "
            "were set back, or --same-key"
        )
        return
    chosen = next((each for each in telling if findings.words(each) & _SITES), telling[0])
    findings.options["site_column"] = findings.reference(chosen)
    if "site_key" not in findings.given:
        site_key = _site_key(findings, chosen)
        findings.options["site_key"] = site_key
        findings.doubts.append(
            f"{findings.quoted(chosen)} is taken for the {site_key} of the sites: say --site-key if it is not"
        )


def needs_site(findings: Findings) -> bool:
    """Return whether neither an option nor the file names the sites."""
    if any(findings.known(keyword) for keyword in ("site_uuid", "site_column", "wide")):
        return False
    return (findings.known("site_key") or "site_uuid") not in findings.table.names


def _tell_the_only_site(findings: Findings, keys: Sequence[int]) -> None:
    for position in keys:
        values = set(findings.cells[position])
        if findings.words(position) & _SITES and len(values) == 1:
            findings.doubts.append(
                f"{findings.quoted(position)} is {values.pop()!r} in the first {len(findings.table.rows):,} rows: name "
                "that site with --site, or the column with --site-column and --site-key if other rows have others"
            )
            return


def _is_key(findings: Findings, position: int) -> bool:
    return findings.kinds[position] != "number" or all(cell.isdigit() for cell in findings.cells[position])


def _site_key(findings: Findings, position: int) -> str:
    if findings.kinds[position] != "number":
        return "client_site_name"
    return "ml_id" if "ml" in findings.words(position) else "client_site_id"
