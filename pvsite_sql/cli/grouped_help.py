"""Help with the options of a command in groups."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

__all__ = ["GroupedCommand"]

_OTHERS = "Options"


class GroupedCommand(TyperCommand):
    """A command whose `--help` shows its options under the headings that `rich_help_panel` gives."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the options without a heading, and the other ones."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], _OTHERS: []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                is_argument = parameter.param_type_name == "argument"
                title = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or _OTHERS
                groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
