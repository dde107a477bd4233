"""What a plan of EXPLAIN (ANALYZE, FORMAT JSON) did: which rows of which tables it read, and how it came to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

Node = dict[str, Any]
REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
SHOWN = (
    "Index Cond",
    "Recheck Cond",
    "Filter",
    "Join Filter",
    "Hash Cond",
    "Merge Cond",
    "Sort Key",
    "Subplans Removed",
)

LONGEST = 160  # of what is shown of a condition


@dataclass(frozen=True)
class Scan:
    """A look into a table.

    Attributes:
        whole: without an index.
        relation: the table, or the partition.
        index: by which it was found, of the partition; empty where the table was read without one.
        rows: that it looked at, at the least: the server rounds them for each loop.
        loops: how often; 0: never.
    """

    kind: str
    relation: str
    index: str
    rows: float
    loops: int


@dataclass(frozen=True)
class Catalog:
    """What belongs to what.

    Attributes:
        parents: of partitions and of their indexes.
        tables: of indexes.
        unique: indexes that are unique.
        functions: those beside the tables.
    """

    parents: dict[str, str]
    tables: dict[str, str]
    unique: frozenset[str]
    functions: frozenset[str]

    @classmethod
    def of(cls, connection: psycopg.Connection) -> Catalog:
        """Those of the database."""
        parents = connection.execute(
            """
            SELECT c.relname, p.relname
            FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
            """
        ).fetchall()
        indexes = connection.execute(
            """
            SELECT c.relname, t.relname, i.indisunique
            FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
            """
        ).fetchall()
        functions = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        ).fetchall()
        return cls(
            parents=dict(parents),
            tables={index: table for index, table, _ in indexes},
            unique=frozenset(index for index, _, unique in indexes if unique),
            functions=frozenset(name for (name,) in functions),
        )

    def parent(self, name: str) -> str:
        """Of a partition or of its index; another table or index stands for itself."""
        return self.parents.get(name, name)


@dataclass(frozen=True)
class Plan:
    """A plan that ran."""

    root: Node

    @cached_property
    def nodes(self) -> list[Node]:
        """All of them, from the top."""
        return list(_below(self.root))

    def scans(self, catalog: Catalog) -> list[Scan]:
        """The looks into tables, the catalog's aside; what a bitmap found counts where its rows are fetched."""
        found = []
        for node in self.nodes:
            index = node.get("Index Name", "")
            relation = node.get("Relation Name") or catalog.tables.get(index)
            if relation is None or relation.startswith("pg_") or node["Node Type"] == "ModifyTable":
                continue
            if node["Node Type"] == "Bitmap Heap Scan":
                index = next(n["Index Name"] for n in _below(node) if "Index Name" in n)
            rows = 0.0 if node["Node Type"] == "Bitmap Index Scan" else touched(node)
            found.append(Scan(node["Node Type"], relation, index, rows, node["Actual Loops"]))
        return found

    def arbiters(self) -> set[str]:
        """The indexes that ON CONFLICT asks."""
        return {index for node in self.nodes for index in node.get("Conflict Arbiter Indexes", ())}

    def spilled(self) -> list[str]:
        """The sorts and hashes for which memory did not suffice."""
        sorts = [n["Node Type"] for n in self.nodes if n.get("Sort Space Type") == "Disk"]
        return sorts + [
            n["Node Type"] for n in self.nodes if n.get("Hash Batches", 1) > 1 or n.get("HashAgg Batches", 0) > 1
        ]

    def __str__(self) -> str:
        """As a tree, a line a node."""
        return "\n".join(_lines(self.root, 0))


def touched(node: Node) -> float:
    """The rows that a scan looked at, at the least. The server gives means of the loops, and rounds them."""
    loops = node["Actual Loops"]
    given = [node["Actual Rows"], *(node.get(key, 0) for key in REMOVED)]
    return float(sum(max(mean - 0.5, 0) if loops > 1 and isinstance(mean, int) else mean for mean in given) * loops)


def _below(node: Node) -> Iterator[Node]:
    yield node
    for child in node.get("Plans", ()):
        yield from _below(child)


def _lines(node: Node, depth: int) -> Iterator[str]:
    names = [node.get(key) for key in ("Operation", "Relation Name", "Index Name", "Function Name", "CTE Name")]
    did = f"{node['Actual Rows']:g} rows x {node['Actual Loops']}" if node["Actual Loops"] else "never executed"
    details = [f"{key}: {node[key]}"[:LONGEST] for key in (*REMOVED, *SHOWN) if node.get(key)]
    said = " ".join([node["Node Type"], *(name for name in names if name)])
    yield f"{'  ' * depth}{said} ({'; '.join([did, *details])})"
    idle = [child for child in node.get("Plans", ()) if not child["Actual Loops"]]
    for child in node.get("Plans", ()):
        if child["Actual Loops"] or len(idle) <= 1:
            yield from _lines(child, depth + 1)
    if len(idle) > 1:
        yield f"{'  ' * (depth + 1)}{len(idle)} more, never executed"
