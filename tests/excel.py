"""Excel workbooks for tests. Run it to write those in `tests/files/` again."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

FILES = Path(__file__).parent / "files"
MINUTES, DAYS = "dd/mm/yyyy hh:mm", "yyyy-mm-dd"


def written(path, sheets):
    """Write a workbook: for each sheet its rows of values; a tuple is a value and the format of its cell."""
    book = Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append([_cell(sheet, *value) if isinstance(value, tuple) else value for value in row])
    book.save(path)
    return path


def _cell(sheet, value, number_format):
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str) and value.startswith("#"):
        cell.data_type = "e"
    cell.number_format = number_format
    return cell


def at(hour, minute=0, day=1):
    """A moment of June 2024, shown to the minute."""
    return datetime(2024, 6, day, hour, minute), MINUTES  # noqa: DTZ001


PLANT = {
    "Info": [["Plant report"], ["made by hand"]],
    "Data": [
        ["Plant report", None, "June"],
        [],
        ["Date", "Note", "Power (W)", "2607"],
        ["", "", "W"],
        [at(14), "sunny", 1500],
        [at(14, 5), None, 1750.5],
        [],
        [at(14, 10), None, ("#DIV/0!", "General")],
        [at(14, 15), None, True],
        [at(14, 20), None, None],
        [at(0, day=2), None, -2],
    ],
}
DATE_AND_TIME = {
    "Sheet1": [
        ["Date", "Time", 2607, 2608],
        [(datetime(2024, 6, 1), DAYS), (time(12, 0), "hh:mm"), 1.5, 0.25],  # noqa: DTZ001
        [(datetime(2024, 6, 1), DAYS), (time(12, 5), "hh:mm"), 1.75, 0.5],  # noqa: DTZ001
    ]
}


if __name__ == "__main__":
    written(FILES / "plant.xlsx", PLANT)
    written(FILES / "date_and_time.xlsx", DATE_AND_TIME)
