"""Solar sites, their measured generation and their forecasts in PostgreSQL: plain SQL files and COPY, no ORM."""

from .engine.stats import QueryStats, RepositoryStats
from .errors import (
    CheckFailed,
    ConstraintError,
    Duplicate,
    InvalidInput,
    MissingReference,
    NotFound,
    OutcomeUnknown,
    PvsiteSqlError,
    QueryFileError,
    SchemaOutOfDate,
)
from .limits import CallLimits, Limits
from .models import (
    ApiRequest,
    Client,
    Forecast,
    ForecastValue,
    ForecastValueSum,
    Generation,
    GenerationSum,
    InsertResult,
    Inverter,
    LatitudeLongitudeLimits,
    MlModel,
    Site,
    SiteChange,
    SiteGroup,
    Status,
    User,
)
from .repository import Repository, Transaction
from .sites import SiteFields

__all__ = [
    "ApiRequest",
    "CallLimits",
    "CheckFailed",
    "Client",
    "ConstraintError",
    "Duplicate",
    "Forecast",
    "ForecastValue",
    "ForecastValueSum",
    "Generation",
    "GenerationSum",
    "InsertResult",
    "InvalidInput",
    "Inverter",
    "LatitudeLongitudeLimits",
    "Limits",
    "MissingReference",
    "MlModel",
    "NotFound",
    "OutcomeUnknown",
    "PvsiteSqlError",
    "QueryFileError",
    "QueryStats",
    "Repository",
    "RepositoryStats",
    "SchemaOutOfDate",
    "Site",
    "SiteChange",
    "SiteFields",
    "SiteGroup",
    "Status",
    "Transaction",
    "User",
]


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  a sixth of the time of the import

    try:
        return version("pvsite_sql")
    except PackageNotFoundError:  # a bare checkout on PYTHONPATH
        return "0+unknown"
