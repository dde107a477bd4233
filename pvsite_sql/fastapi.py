"""FastAPI: a transaction for each request, error responses, and a rectangle of coordinates in the query."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any, TypeVar
from weakref import WeakKeyDictionary

try:
    import anyio.to_thread
    from anyio.lowlevel import RunVar
    from fastapi import Depends, FastAPI, Query, Request
    from fastapi.encoders import jsonable_encoder
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
except ModuleNotFoundError as error:
    if error.name not in ("anyio", "fastapi"):
        raise
    raise ModuleNotFoundError(
        'pvsite_sql.fastapi requires FastAPI: pip install "pvsite_sql[fastapi]"', name=error.name
    ) from None

from psycopg_pool import PoolTimeout, TooManyRequests

from .errors import CheckFailed, ConstraintError, InvalidInput, NotFound
from .limits import CallLimits
from .models import LatitudeLongitudeLimits
from .repository import Repository, Transaction

__all__ = ["install_error_handlers", "latitude_longitude_limits", "transaction"]

Result = TypeVar("Result")
RepositorySource = Repository | Callable[..., Repository] | Callable[..., Awaitable[Repository]]
ActorSource = str | Callable[..., str | None] | Callable[..., Awaitable[str | None]] | None

_logger = logging.getLogger("pvsite_sql")
_UNPROCESSABLE, _CONFLICT, _NOT_FOUND, _UNAVAILABLE = 422, 409, 404, 503
_turns: RunVar[WeakKeyDictionary[Repository, anyio.Semaphore]] = RunVar("pvsite_sql_turns")


def transaction(repository: RepositorySource, *, actor: ActorSource = None, limits: CallLimits | None = None) -> Any:
    """A dependency: a transaction of the repository, for the path operation function of one request.

    It is committed when the function has returned and before the response is sent, so a failed COMMIT is an error
    response. It is rolled back if the function raises, also an `HTTPException`.

    Use it in path operation functions without `async`: `Tx = Annotated[Transaction, transaction(repo)]`, then `tx: Tx`.

    Args:
        repository: the repository, or a dependency that returns it.
        actor: who writes, for the history of sites; or a dependency that returns it, such as the user of the request.
        limits: how long the calls may take and wait; None: as the repository has it.
    """
    get_repository = _returning(repository) if isinstance(repository, Repository) else repository
    get_actor = actor if callable(actor) else _returning(actor)

    async def lend(
        repo: Repository = Depends(get_repository),  # noqa: B008  the annotation could not name them
        actor: str | None = Depends(get_actor),
    ) -> AsyncIterator[Transaction]:
        turn = await _next_turn(repo)
        try:
            block = repo.transaction(actor=actor, limits=limits)
            tx = await _in_thread(block.__enter__)
            try:
                yield tx
            except BaseException as error:
                await _leave(block, error)
                raise
            await _leave(block, None)
        finally:
            turn.release()

    return Depends(lend, scope="function")


def _returning(value: Result) -> Callable[[], Awaitable[Result]]:
    async def given() -> Result:
        return value

    return given


async def _next_turn(repo: Repository) -> anyio.Semaphore:
    """Wait, without a thread, until the repository can lend one more transaction.

    The functions of the requests run in a limited number of threads. If these waited for connections, the requests that
    have one could find no thread to go on in. One connection is kept for other calls of the repository.
    """
    turns = _turns.get(None)
    if turns is None:
        _turns.set(turns := WeakKeyDictionary())
    most, timeout_s = repo._source.capacity()  # noqa: SLF001  of the same package
    turn = turns.setdefault(repo, anyio.Semaphore(max(1, most - 1)))
    try:
        turn.acquire_nowait()
    except anyio.WouldBlock:
        pass
    else:
        return turn
    try:
        with anyio.fail_after(timeout_s):
            await turn.acquire()
    except TimeoutError:
        raise PoolTimeout(f"no transaction could be had within {timeout_s:.2f} s: all are in use") from None
    return turn


async def _in_thread(call: Callable[[], Result]) -> Result:
    """Call it in a thread of its own, beside those in which the functions of the requests run."""
    return await anyio.to_thread.run_sync(call, limiter=anyio.CapacityLimiter(1))


async def _leave(block: AbstractContextManager[Transaction], error: BaseException | None) -> None:
    kind, traceback = (None, None) if error is None else (type(error), error.__traceback__)
    with anyio.CancelScope(shield=True):
        await _in_thread(partial(block.__exit__, kind, error, traceback))


def install_error_handlers(app: FastAPI, *, retry_after_s: int = 5) -> None:
    """Answer the errors of the package with these status codes, in all routes of the app.

    404: `NotFound`. 409: `Duplicate`, `MissingReference` and other refused constraints. 422: `InvalidInput` and
    `CheckFailed`, in the form in which FastAPI reports invalid requests. 503 with `Retry-After`: no connection could be
    had in time; the reason is logged, not sent. All other errors are answered by FastAPI with 500.

    Args:
        app: the application.
        retry_after_s: after how many seconds a client may try again.
    """

    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        _logger.warning("answered 503: %s", error)
        text = "no connection to the database could be had in time; try again later"
        return JSONResponse({"detail": text}, _UNAVAILABLE, {"Retry-After": str(retry_after_s)})

    handlers = {NotFound: _refused, ConstraintError: _refused, InvalidInput: _refused}
    for kind, handler in (handlers | {PoolTimeout: unavailable, TooManyRequests: unavailable}).items():
        app.add_exception_handler(kind, handler)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    match error:
        case InvalidInput():
            names = ("column", "reason", "rows", "count", "frame")
            known = {name: getattr(error, name) for name in names}
            place = [] if error.column is None else [error.column]
            detail: object = [{"type": "invalid_input", "loc": place, "msg": str(error), **known}]
            return JSONResponse(jsonable_encoder({"detail": detail}), _UNPROCESSABLE)
        case CheckFailed():
            known = {"constraint_name": error.constraint_name}
            detail = [{"type": "check_failed", "loc": [], "msg": str(error), **known}]
            return JSONResponse({"detail": detail}, _UNPROCESSABLE)
        case ConstraintError():
            return JSONResponse({"detail": str(error), "constraint_name": error.constraint_name}, _CONFLICT)
        case _:
            return JSONResponse({"detail": str(error)}, _NOT_FOUND)


async def latitude_longitude_limits(
    latitude_min: Annotated[float, Query(allow_inf_nan=False, description="degrees north, included")] = -90,
    latitude_max: Annotated[float, Query(allow_inf_nan=False, description="degrees north, included")] = 90,
    longitude_min: Annotated[float, Query(allow_inf_nan=False, description="degrees east, included")] = -180,
    longitude_max: Annotated[float, Query(allow_inf_nan=False, description="degrees east, included")] = 180,
) -> LatitudeLongitudeLimits:
    """A dependency: the rectangle that the query parameters of a request describe, with 422 for an invalid one.

    Use it as `Annotated[LatitudeLongitudeLimits, Depends(latitude_longitude_limits)]`.
    """
    edges = {
        "latitude_min": latitude_min,
        "latitude_max": latitude_max,
        "longitude_min": longitude_min,
        "longitude_max": longitude_max,
    }
    try:
        return LatitudeLongitudeLimits(**edges)
    except InvalidInput as error:
        refused = {"type": "invalid_input", "loc": ("query",), "msg": error.reason, "input": edges}
        raise RequestValidationError([refused]) from None
