"""Make models of rows: of dictionaries, or of decoded binary COPY streams without a loop over the fields."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from itertools import repeat
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from .arrays import Array
from .timestamps import datetimes_of

__all__ = ["collector_paused", "empty_fields", "models", "models_of", "times_of"]

Model = TypeVar("Model", bound=BaseModel)

# called directly: object.__setattr__ takes twice the time
_SETTERS: dict[str, Callable[[BaseModel, Any], None]] = {
    name: vars(BaseModel)[name].__set__ for name in BaseModel.__slots__
}


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cyclic garbage collector while many rows without cycles are created.

    This halves the time for 38,400 rows. Threads can overlap: the one that found the collector enabled enables it.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def models(model: type[Model], records: list[dict[str, Any]]) -> list[Model]:
    """Validate each row and return it as a model."""
    return _list_of(model).validate_python(records)


def empty_fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return a dict of all fields of a model without values, to be copied and filled for `models_of`.

    It shares its keys with the other instances of the model, and so do its copies: they take a third of the memory of
    other dicts.
    """
    instance = model.__new__(model)
    for name in model.model_fields:
        object.__setattr__(instance, name, None)
    return vars(instance)


def models_of(model: type[Model], fields: Sequence[dict[str, Any]]) -> list[Model]:
    """Return a model for each dict of all of its fields, without validation. The models keep the dicts.

    For rows whose decoder has checked the types. Models are created as by unpickling.
    """
    made = list(map(model.__new__, repeat(model, len(fields))))
    for name, value in _state(model).items():
        values: Iterable[Any] = fields if name == "__dict__" else repeat(value)
        deque(map(_SETTERS[name], made, values), maxlen=0)  # a loop in C
    return made


def _state(model: type[BaseModel]) -> dict[str, Any]:
    """Return the state that unpickling sets on a model with all fields set."""
    state: dict[str, Any] = model.model_construct(**dict.fromkeys(model.model_fields)).__getstate__()
    return state


@cache
def _list_of(model: type[Model]) -> TypeAdapter[list[Model]]:
    return TypeAdapter(list[model])  # type: ignore[valid-type]


def times_of(since_2000_us: Array) -> list[datetime]:
    """Return the aware times in UTC. Equal ones share one object."""
    import numpy as np
    import pandas as pd

    codes, uniques = pd.factorize(since_2000_us.astype("=i8"))
    times: list[datetime] = np.array(datetimes_of(uniques.tolist()), object)[codes].tolist()
    return times
