"""What every query file is asked on the database of plan_database.py, and the words of `-- Touches:` counted there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import pack

from plan_database import forecast, group, model, site, user


@dataclass(frozen=True)
class Case:
    """Values for a query file.

    Attributes:
        values: as psql's `-v` takes them; a list stands for an array.
        staged: what the staging table holds, as a query over the columns of the table.
        wider: how much further than its window the file looks into `generation`.
    """

    values: dict[str, str | list[str]] = field(default_factory=dict)
    staged: str = ""
    wider: timedelta = timedelta()


def case(*, staged: str = "", wider: timedelta = timedelta(), **values: str | list[str]) -> Case:
    """The values as keywords."""
    return Case(values, staged, wider)


FEW = [site(n) for n in (3, 500, 998)]
SOME = [site(n) for n in range(100, 150)]
ALL = [site(n) for n in range(1, 1001)]
DAY = {"start_utc": "2024-06-12T00:00Z", "end_utc": "2024-06-13T00:00Z"}
TURN = {"start_utc": "2024-10-28T00:00Z", "end_utc": "2024-11-03T00:00Z"}  # of a month
YESTERDAY = {"start_utc": "2024-12-30T00:00Z", "end_utc": "2024-12-31T00:00Z"}
AHEAD = {"start_utc": "2024-12-31T00:00Z", "end_utc": "2025-01-03T00:00Z"}
JUNE = {"start_utc": "2024-06-01T00:00Z", "end_utc": "2024-07-01T00:00Z"}
DECEMBER = {"start_utc": "2024-12-01T00:00Z", "end_utc": "2025-01-01T00:00Z"}
ALWAYS = {"start_utc": "-infinity", "end_utc": "infinity"}
WHOLE = {"limit": "", "offset": "0"}
PAGE = {"limit": "20", "offset": "40"}
ANY_SITE = {
    **dict.fromkeys(("country", "asset_type", "active", "client_name", "client_site_name_contains"), ""),
    "site_group_name": "",
    "order_by": "site_uuid",
    **WHOLE,
}
ONE_GROUP = {**ANY_SITE, "site_group_name": "group 7", "client_site_name_contains": "roof", "order_by": "created_utc"}
TAKEN_BACK = {"created_after": "-infinity", "model_name": "", "model_versions": []}
OF_ANY = {
    "created_after": "-infinity",
    "created_before": "infinity",
    "model_name": "",
    "model_versions": "{}",
    "of_site_model": "false",
}
OF_MODEL = OF_ANY | {"model_name": "model 1", "model_versions": "{1.1}"}
OF_SITE_MODEL = OF_ANY | {"of_site_model": "true"}
ANY_HORIZON = {"min_horizon_minutes": "", "max_horizon_minutes": ""}
ANY_HOUR = {"created_hour": "", "timezone": "", "bucket_minutes": "1"}
NINE = {"hour": "9", "minute": "30", "timezone": "Europe/London"}
NO_SITE = "00000000-0000-0000-0000-000000000000"

STAGED_READINGS = """
    INSERT INTO pg_temp.generation_staging (site_uuid, start_utc, end_utc, generation_power_kw, position)
    SELECT g.site_uuid, g.start_utc {later}, g.end_utc {later}, 2, row_number() OVER ()
    FROM generation AS g
    WHERE {which}
    ORDER BY g.site_uuid, g.start_utc
"""
STAGED_FORECASTS = """
    INSERT INTO pg_temp.forecasts_staging (
        site_uuid, timestamp_utc, ml_model_uuid, forecast_version, created_utc, start_utc, resolution_minutes, power_kw
    )
    SELECT
        f.site_uuid, f.timestamp_utc {later}, f.ml_model_uuid, f.forecast_version, f.created_utc, f.start_utc,
        f.resolution_minutes, array_fill(2::real, '{{48}}')
    FROM forecasts AS f
    WHERE {which}
    ORDER BY f.site_uuid, f.timestamp_utc
"""
LAST_HOUR = {"start_utc": "2024-12-31T17:00Z", "end_utc": "2024-12-31T17:00Z"}
NEXT_HOUR = {"start_utc": "2024-12-31T18:00Z", "end_utc": "2024-12-31T18:00Z"}
A_MONTH = {"start_utc": "2024-06-01T08:00Z", "end_utc": "2024-06-30T17:00Z"}
GENERATION_STAGED = [
    case(
        **NEXT_HOUR,
        staged=STAGED_READINGS.format(later="+ interval '1 hour'", which="g.start_utc = '2024-12-31T17:00Z'"),
    ),
    case(**LAST_HOUR, staged=STAGED_READINGS.format(later="", which="g.start_utc = '2024-12-31T17:00Z'")),
    case(
        **A_MONTH,
        staged=STAGED_READINGS.format(
            later="", which=f"g.site_uuid = '{site(5)}' AND g.start_utc >= '2024-06-01' AND g.start_utc < '2024-07-01'"
        ),
    ),
]
LAST_RUN = {"start_utc": "2024-12-31T00:00Z", "end_utc": "2024-12-31T00:00Z"}
NEXT_RUN = {"start_utc": "2024-12-31T03:00Z", "end_utc": "2024-12-31T03:00Z"}
ONE_RUN = f"f.timestamp_utc = '2024-12-31' AND f.ml_model_uuid = '{model(11)}'"
FORECASTS_STAGED = [
    case(**NEXT_RUN, staged=STAGED_FORECASTS.format(later="+ interval '3 hours'", which=ONE_RUN)),
    case(**LAST_RUN, staged=STAGED_FORECASTS.format(later="", which=ONE_RUN)),
]

ADOPTED_READINGS = """
    INSERT INTO pg_temp.adopt_generation_rows (site_uuid, start_utc, end_utc, generation_power_kw, created_utc)
    SELECT g.site_uuid, g.start_utc {later}, g.end_utc {later}, g.generation_power_kw, g.created_utc
    FROM generation AS g
    WHERE {which}
"""
ADOPTED_FORECASTS = """
    INSERT INTO pg_temp.adopt_forecast_rows (
        forecast_uuid, site_uuid, timestamp_utc, ml_model_uuid, forecast_version, created_utc, start_utc,
        resolution_minutes, power_kw, source_values, source_power_kw
    )
    SELECT
        f.forecast_uuid, f.site_uuid, f.timestamp_utc {later}, f.ml_model_uuid, f.forecast_version, f.created_utc,
        f.start_utc, f.resolution_minutes, f.power_kw, cardinality(f.power_kw), 0
    FROM forecasts AS f
    WHERE {which}
"""
ARRIVED_READINGS = """
    INSERT INTO pg_temp.adopt_generation (site_uuid, start_utc, end_utc, generation_power_kw, created_utc)
    SELECT g.site_uuid, g.start_utc, g.end_utc, g.generation_power_kw, g.created_utc
    FROM generation AS g
    WHERE g.start_utc = '2024-12-31T17:00Z'
"""
ARRIVED_FORECASTS = f"""
    INSERT INTO pg_temp.adopt_forecasts (
        forecast_uuid, site_uuid, timestamp_utc, forecast_version, created_utc, ml_model_uuids, starts_utc, ends_utc,
        power_kw
    )
    SELECT
        f.forecast_uuid, f.site_uuid, f.timestamp_utc, f.forecast_version, f.created_utc, ARRAY[f.ml_model_uuid],
        ARRAY(SELECT f.start_utc + n * interval '1 minute' FROM generate_series(1, 20) AS n),
        ARRAY(SELECT f.start_utc + (n + 1) * interval '1 minute' FROM generate_series(1, 20) AS n),
        array_fill(2::double precision, '{{20}}')
    FROM forecasts AS f
    WHERE {ONE_RUN}
"""
GENERATION_ADOPTED = [
    case(
        **NEXT_HOUR,
        staged=ADOPTED_READINGS.format(later="+ interval '1 hour'", which="g.start_utc = '2024-12-31T17:00Z'"),
    ),
    case(**LAST_HOUR, staged=ADOPTED_READINGS.format(later="", which="g.start_utc = '2024-12-31T17:00Z'")),
    case(
        **A_MONTH,
        staged=ADOPTED_READINGS.format(later="", which="g.start_utc >= '2024-06-01' AND g.start_utc < '2024-07-01'"),
    ),
]
FORECASTS_ADOPTED = [
    case(**NEXT_RUN, staged=ADOPTED_FORECASTS.format(later="+ interval '3 hours'", which=ONE_RUN)),
    case(**LAST_RUN, staged=ADOPTED_FORECASTS.format(later="", which=ONE_RUN)),
]
ARRIVED_CHANGES = """
    INSERT INTO pg_temp.adopt_ids (kind, source_uuid, stored_uuid)
    SELECT 'users', u.user_uuid, u.user_uuid FROM users AS u LIMIT 5;
    INSERT INTO pg_temp.adopt_documents (document)
    SELECT jsonb_build_object(
        'site_uuid', h.site_uuid, 'site_data', h.new_row, 'operation_type', 'INSERT', 'number', h.change_id,
        'changed_by', (SELECT i.source_uuid FROM pg_temp.adopt_ids AS i LIMIT 1),
        'created_utc', (h.changed_utc AT TIME ZONE 'UTC') - interval '1 day'
    )
    FROM site_history AS h LIMIT 100
"""
ADOPTED_KEYS = {
    "api_request": "uuid",
    "clients": "client_uuid",
    "inverters": "inverter_uuid",
    "ml_models": "ml_model_uuid",
    "site_group_sites": "site_uuid",
    "site_groups": "site_group_uuid",
    "site_history": "site_uuid",
    "sites": "site_uuid",
    "status": "status_uuid",
    "users": "user_uuid",
}


def adopted(table: str, *, new: bool = False, **values: str) -> Case:
    """Rows of a small table that wait to be stored; new ones are stored under other ids."""
    key = ADOPTED_KEYS[table]
    uuid = "gen_random_uuid()" if new else f"t.{key}"
    without = "- 'ml_id'" if new else ""
    return case(
        **values,
        staged=f"""
            INSERT INTO pg_temp.adopt_rows (document, source_uuid, stored_uuid, target)
            SELECT to_jsonb(t), d.id, d.id, to_jsonb(t) {without} || jsonb_build_object('{key}', d.id)
            FROM (SELECT * FROM {table} LIMIT 100) AS t CROSS JOIN LATERAL (SELECT {uuid} AS id) AS d
        """,
    )


def arrived(table: str, **values: str) -> Case:
    """Rows of a small table, as they come."""
    return case(
        **values,
        staged=f"""
            INSERT INTO pg_temp.adopt_documents (document)
            SELECT to_jsonb(t) || jsonb_build_object('model_uuid', to_jsonb(t) -> 'ml_model_uuid')
            FROM {table} AS t LIMIT 100
        """,
    )


# What a prune up to noon of a day has left to delete in the month, and what its archive holds of it.
UP_TO_NOON = {"start_utc": "2024-06-01T00:00Z", "end_utc": "2024-06-12T12:00Z"}
NOON = "2024-06-12T12:00Z"
NEIGHBOURS = sorted(range(1, 1001), key=site)[100:140]
ARCHIVED = [
    (site(n), datetime(2024, 6, day, hour, tzinfo=UTC))
    for n in NEIGHBOURS[:5]
    for day in range(1, 13)
    for hour in range(8, 18 if day < 12 else 12)
]
ARCHIVED_FORECASTS = [
    (n, f"2024-06-{day:02}T00:00Z", made) for n in NEIGHBOURS for day in range(1, 12, 2) for made in (11, 21)
]


def _later(hours: int) -> list[str]:
    return [str(start + timedelta(hours=hours)) for _, start in ARCHIVED]


def _digest(made_utc: str) -> str:
    """What prune/archive_forecasts has of one of the forecasts: of its columns as record_send writes them."""
    since_2000 = int(datetime.fromisoformat(made_utc).timestamp() - 946_684_800) * 1_000_000
    moment = pack("!iiq", 1184, 8, since_2000)
    power = pack("!iiiii", 1, 0, 700, 48, 1) + pack("!if", 4, 1.0) * 48
    columns = [moment, moment, pack("!iii", 23, 4, 60), pack("!ii", 1021, len(power)) + power]
    nulls = [pack("!ii", type_, -1) for type_ in (1009, 1021)]
    return sha256(b"".join([pack("!i", 6), *columns, *nulls])).hexdigest()


# Without a plan: COPY, CREATE, DISCARD and TRUNCATE. What those of `adopt` do is seen in test_adopt.py.
UNPLANNED = (
    {
        f"{table}/insert_{step}"
        for table in ("generation", "forecasts")
        for step in ("copy", "stage", "staging", "unstage")
    }
    | {"engine/discard_session", "prune/sites_staging"}
    | {f"prune/view_{table}{of}" for table in ("forecasts", "generation") for of in ("", "_of_sites")}
    | {
        f"adopt/{table}_{step}"
        for table, steps in {
            "documents": ("ids", "rows", "stage", "staging"),
            "generation": ("rows", "stage", "staging"),
            "forecasts": ("rows", "stage", "staging"),
        }.items()
        for step in steps
    }
)
# They run on the tables of another database: test_adopt.py runs each of them and looks at the plans of the big ones.
ELSEWHERE = "adopt/source_"
CASES: dict[str, list[Case]] = {
    **{f"adopt/{table}_prepare": [arrived(table)] for table in ADOPTED_KEYS},
    **{f"adopt/{table}_insert": [adopted(table)] for table in ADOPTED_KEYS},
    "adopt/site_history_prepare": [case(staged=ARRIVED_CHANGES)],
    "adopt/sites_insert": [adopted("sites"), adopted("sites", new=True)],
    "adopt/documents_compare": [adopted(table, kind=table) for table in ADOPTED_KEYS],
    "adopt/documents_keep_ids": [adopted("users", kind="users")],
    "adopt/documents_unsupported": [arrived("sites")],
    "adopt/documents_outcome": [adopted("users")],
    "adopt/documents_rejected": [adopted("users")],
    "adopt/generation_prepare": [case(staged=ARRIVED_READINGS)],
    "adopt/generation_insert": GENERATION_ADOPTED,
    "adopt/generation_outcome": GENERATION_ADOPTED,
    "adopt/generation_rejected": GENERATION_ADOPTED,
    "adopt/forecasts_prepare": [case(staged=ARRIVED_FORECASTS)],
    "adopt/forecasts_insert": FORECASTS_ADOPTED,
    "adopt/forecasts_outcome": FORECASTS_ADOPTED,
    "adopt/forecasts_rejected": [
        replace(each, staged=f"SET LOCAL work_mem = '64MB'; {ARRIVED_FORECASTS}; {each.staged}")  # as adopt.py has it
        for each in FORECASTS_ADOPTED
    ],
    "api_requests/create": [case(url="/sites", email="user7@example.com"), case(url="/sites", email="")],
    "api_requests/last_per_user": [
        case(**ALWAYS, include="", exclude="", newest_first="false", **WHOLE),
        case(**DAY, include="page=3", exclude="nothing", newest_first="true", **PAGE),
    ],
    **{
        f"api_requests/list_for_user{order}": [
            case(email="user7@example.com", **DAY, include="", exclude="", **WHOLE),
            case(email="user7@example.com", **ALWAYS, include="page=3", exclude="nothing", **PAGE),
            case(email="nobody", **ALWAYS, include="", exclude="", **WHOLE),
        ]
        for order in ("", "_newest_first")
    },
    "engine/applied_migrations": [case()],
    "check/invalid_indexes": [case(schema="public")],
    "check/set_timeouts": [case(milliseconds="60000")],
    "check/months": [case(schema="public", parents=["generation", "forecasts"], months=["2024-12-01", "2025-01-01"])],
    "check/jit": [case()],
    "check/layout": [
        case(partition="public.generation_p2024_06", pages="200", rows="21000", site_pages="210", unfrozen_rows="0"),
    ],
    "check/layout_findings": [
        case(parent="generation", due=["a"], scattered=["a", "b"], spread="7.5", checked="3", partitions="12"),
    ],
    "check/layout_forecasts": [case(partition="public.forecasts_p2024_06", **JUNE)],
    "check/layout_generation": [case(partition="public.generation_p2024_06", **JUNE)],
    "check/layout_months": [
        case(schema="public", parent="generation", since_utc="-infinity", before_utc="2024-07-01T00:00Z"),
    ],
    "check/never_analyzed": [case(schema="public")],
    "check/orphans": [case(schema="public", parent="generation", site_uuids=FEW, checked="3", partitions="12")],
    "check/orphans_forecasts": [case(**JUNE), case(**DECEMBER)],
    "check/orphans_generation": [case(**JUNE), case(**DECEMBER)],
    "check/partition_bounds": [case(schema="public", parents=["generation", "forecasts"])],
    "check/partition_ranges": [case(schema="public", parent="generation")],
    "check/partitions": [case(schema="public", expected='{"facts": []}')],
    "check/replica_identities": [case(schema="public")],
    "check/pruned": [case(schema="public", parents=["generation", "forecasts"])],
    "clients/get": [case(client_name="client 7"), case(client_name="nobody")],
    "clients/get_or_create": [case(client_name="client 7"), case(client_name="nobody")],
    "clients/list": [case(**WHOLE), case(**PAGE)],
    "clients/rename": [case(client_name="client 7", new_name="new"), case(client_name="nobody", new_name="new")],
    "clients/delete": [case(client_name="idle"), case(client_name="nobody")],
    "load/sites_by_client_site_id": [
        case(client_site_ids=["7", "8", "-1"], client_name=""),
        case(client_site_ids=[str(n) for n in range(100, 120)], client_name="client 14"),
    ],
    "load/sites_by_client_site_name": [
        case(client_site_names=["roof 13", "roof 14", "nothing"], client_name=""),
        case(client_site_names=[f"roof {n}" for n in range(100, 120)], client_name="client 14"),
    ],
    "load/sites_by_ml_id": [
        case(ml_ids=["7", "8", "-1"], client_name=""),
        case(ml_ids=[str(n) for n in range(100, 120)], client_name="client 14"),
    ],
    "prune/detach_set_timeout": [case(milliseconds="1000")],
    "prune/detach_statements": [case(parent="generation", partition="public.generation_p2024_06")],
    "prune/detach_tables": [case(parent="generation", before_utc="2024-06-12T00:00Z")],
    "prune/detach_users": [case(relation="public.generation")],
    **{
        f"check/drift_{kind}": [case(schema="public")]
        for kind in ("columns", "comments", "constraints", "functions", "indexes", "tables", "triggers", "views")
    },
    "check/drift_schema": [case(tables=["sites", "generation"])],
    "check/drift_settings": [case()],
    "forecasts/day_ahead_values": [
        case(site_uuids=FEW, **AHEAD, **NINE, **OF_ANY, probabilistic="true"),
        case(site_uuids=FEW, **DAY, **NINE, **OF_MODEL, probabilistic="false"),
        case(site_uuids=FEW, **DAY, **NINE, **OF_SITE_MODEL, probabilistic="false"),
    ],
    "forecasts/day_ahead_values_sums": [
        case(by="total", site_uuids=FEW, **AHEAD, **NINE, **OF_ANY),
        case(by="dno", site_uuids=FEW, **DAY, **NINE, **OF_MODEL),
        case(by="gsp", site_uuids=FEW, **DAY, **NINE, **OF_SITE_MODEL),
    ],
    **{
        f"forecasts/{name}": [
            case(site_uuids=FEW, **DAY, **TAKEN_BACK),
            case(site_uuids=SOME, **TURN, **TAKEN_BACK | {"model_name": "model 1", "model_versions": ["1.1"]}),
            case(site_uuids=[site(9)], **ALWAYS, **TAKEN_BACK | {"created_after": "2024-06-12T00:00Z"}),
        ]
        for name in ("delete", "delete_count")
    },
    **{
        f"forecasts/{name}": [
            case(**DAY, **TAKEN_BACK),
            case(**TURN, **TAKEN_BACK | {"model_name": "model 1", "model_versions": ["1.1"]}),
        ]
        for name in ("delete_all_sites", "delete_count_all_sites")
    },
    "forecasts/delete_by_uuid": [case(forecast_uuid=forecast(4, "2024-12-20T00:00Z")), case(forecast_uuid=NO_SITE)],
    "forecasts/error_by_horizon": [
        case(by="total", site_uuids=FEW, **DAY, **ANY_HOUR, **OF_ANY, wider=timedelta(days=1)),
        case(by="site", site_uuids=SOME, **TURN, **ANY_HOUR, **OF_MODEL, wider=timedelta(days=1)),
        case(
            by="total",
            site_uuids=FEW,
            **DAY,
            created_hour="6",
            timezone="Europe/London",
            bucket_minutes="60",
            **OF_SITE_MODEL,
            wider=timedelta(days=1),
        ),
    ],
    "forecasts/get": [case(forecast_uuid=forecast(4, "2024-12-20T00:00Z")), case(forecast_uuid=NO_SITE)],
    "forecasts/get_with_timestamp": [
        case(forecast_uuid=forecast(4, "2024-12-20T00:00Z"), timestamp_utc="2024-12-20T00:00Z"),
        case(forecast_uuid=NO_SITE, timestamp_utc="2024-12-20T00:00Z"),
    ],
    "forecasts/insert_differing": FORECASTS_STAGED,
    "forecasts/insert_new": FORECASTS_STAGED,
    "forecasts/insert_probe": [
        case(site_uuids=ALL, timestamps_utc=["2024-12-31T00:00Z"] * 1000, **LAST_RUN),
        case(site_uuids=ALL, timestamps_utc=["2024-12-31T03:00Z"] * 1000, **NEXT_RUN),
    ],
    "forecasts/insert_replaced": FORECASTS_STAGED,
    "forecasts/latest_per_site": [
        case(site_uuids=FEW, **OF_ANY),
        case(site_uuids=ALL, **OF_ANY),
        case(site_uuids=SOME, **OF_MODEL),
        case(site_uuids=SOME, **OF_SITE_MODEL),
    ],
    "forecasts/latest_per_site_in_window": [
        case(site_uuids=SOME, **AHEAD, **OF_ANY),
        case(site_uuids=FEW, **DAY, **OF_MODEL),
        case(site_uuids=FEW, **AHEAD, **OF_SITE_MODEL),
    ],
    "forecasts/latest_sums": [
        case(by="total", site_uuids=SOME, **AHEAD, **ANY_HORIZON, **OF_ANY),
        case(by="dno", site_uuids=FEW, **TURN, **ANY_HORIZON, **OF_MODEL),
        case(by="gsp", site_uuids=FEW, **AHEAD, **ANY_HORIZON, **OF_SITE_MODEL),
    ],
    "forecasts/latest_values": [
        case(site_uuids=FEW, **AHEAD, **ANY_HORIZON, **OF_ANY, probabilistic="true"),
        case(site_uuids=SOME, **AHEAD, **ANY_HORIZON, **OF_ANY, probabilistic="false"),
        case(site_uuids=SOME, **AHEAD, **ANY_HORIZON, **OF_SITE_MODEL, probabilistic="false"),
        case(
            site_uuids=SOME,
            **TURN,
            min_horizon_minutes="60",
            max_horizon_minutes="1440",
            **OF_MODEL | {"created_after": "2024-10-01T00:00Z", "created_before": "2024-11-01T00:00Z"},
            probabilistic="false",
        ),
    ],
    "forecasts/values": [case(forecast_uuid=forecast(4, "2024-12-20T00:00Z")), case(forecast_uuid=NO_SITE)],
    "forecasts/values_with_timestamp": [
        case(forecast_uuid=forecast(4, "2024-12-20T00:00Z"), timestamp_utc="2024-12-20T00:00Z"),
        case(forecast_uuid=NO_SITE, timestamp_utc="2024-12-20T00:00Z"),
    ],
    "forecasts/values_at_horizon": [
        case(site_uuids=FEW, **YESTERDAY, horizon_minutes="60", **OF_ANY, probabilistic="true"),
        case(site_uuids=SOME, **TURN, horizon_minutes="1440", **OF_MODEL, probabilistic="false"),
        case(site_uuids=SOME, **TURN, horizon_minutes="1440", **OF_SITE_MODEL, probabilistic="false"),
    ],
    "forecasts/values_at_horizon_sums": [
        case(by="dno", site_uuids=FEW, **YESTERDAY, horizon_minutes="60", **OF_ANY),
        case(by="total", site_uuids=SOME, **TURN, horizon_minutes="1440", **OF_MODEL),
        case(by="gsp", site_uuids=FEW, **YESTERDAY, horizon_minutes="60", **OF_SITE_MODEL),
    ],
    **{
        f"generation/{name}": [
            case(site_uuids=FEW, **DAY),
            case(site_uuids=SOME, **TURN),
            case(site_uuids=[site(9)], **ALWAYS),
            case(site_uuids=[], **ALWAYS),
        ]
        for name in ("delete", "delete_count")
    },
    "generation/insert_changed": GENERATION_STAGED,
    "generation/insert_combined": [
        case(combine=combine, staged=f"{GENERATION_STAGED[2].staged}; {GENERATION_STAGED[2].staged}")
        for combine in ("mean", "sum")
    ],
    "generation/insert_conflict": [
        replace(each, values={**each.values, "ends_only": ends_only})
        for each in GENERATION_STAGED
        for ends_only in ("false", "true")
    ],
    "generation/insert_differing": GENERATION_STAGED,
    "generation/insert_new": GENERATION_STAGED,
    "generation/insert_staged": GENERATION_STAGED[:1],
    "generation/insert_probe": [
        case(site_uuids=SOME, first_utc=["2024-12-31T18:00Z"] * 50, last_utc=["2024-12-31T18:00Z"] * 50, **NEXT_HOUR),
        case(site_uuids=FEW, first_utc=["2024-06-01T08:00Z"] * 3, last_utc=["2024-06-30T17:00Z"] * 3, **A_MONTH),
    ],
    "generation/latest": [case(site_uuids=FEW), case(site_uuids=ALL)],
    "generation/latest_all_sites": [case()],
    "generation/read": [
        case(site_uuids=FEW, **DAY),
        case(site_uuids=SOME, **TURN),
        case(site_uuids=[site(9)], **ALWAYS),
        case(site_uuids=[], **ALWAYS),
    ],
    "generation/read_all_sites": [case(**DAY), case(**TURN)],
    "generation/read_for_users": [
        case(user_uuids=[user(1)], **DAY),
        case(user_uuids=[user(1), user(3), user(1001)], **TURN),
    ],
    "generation/sums": [case(by="gsp", site_uuids=SOME, **DAY), case(by="dno", site_uuids=FEW, **TURN)],
    "generation/sums_all_sites": [case(by="dno", **DAY), case(by="gsp", **TURN)],
    "generation/sums_total": [case(site_uuids=SOME, **DAY), case(site_uuids=FEW, **TURN)],
    "generation/sums_total_all_sites": [case(**DAY), case(**TURN)],
    "inverters/create": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "inverters/delete": [case(inverter_uuid=NO_SITE)],
    "inverters/list": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "engine/all_sites": [case()],
    "migrate/blockers": [case(pid="1")],
    "migrate/cancel_if_blocking": [case(pid="1", limit_s="2")],
    "migrate/forecasts_pkey_indexes": [case()],
    "migrate/lock_holders": [case(part="run")],
    "migrate/set_timeouts": [case(lock_timeout_ms="2000", idle_timeout_ms="0")],
    "migrate/try_lock": [case(part="run")],
    "migrate/yoyo_lock_holder": [case()],
    "migrate/yoyo_lock_release": [case()],
    "migrate/yoyo_lock_take": [case()],
    "ml_models/get_or_create_existing": [case(name="model 1", version="1.3"), case(name="model 1", version="2.0")],
    "ml_models/get_or_create_new": [
        case(name="model 1", version="1.3", description=""),
        case(name="model 1", version="2.0", description="a new one"),
    ],
    "ml_models/list": [case(name="", **WHOLE), case(name="model 1", **PAGE)],
    "ml_models/list_with_forecasts": [
        case(site_uuids=FEW, **AHEAD, name="", **WHOLE),
        case(site_uuids=FEW[:1], **DAY, name="model 1", **WHOLE),
        case(site_uuids=FEW[:1], **ALWAYS, name="", **PAGE),
    ],
    "ml_models/newest": [case(name="model 1"), case(name="nothing")],
    "ml_models/update": [
        case(ml_model_uuid=model(11), description="better"),
        case(ml_model_uuid=NO_SITE, description=""),
    ],
    "engine/ensure_partitions": [case(parent="generation", months=["2024-06-01", "2024-12-31"])],
    "engine/lock_timeout": [case()],
    "engine/transaction_begun": [case()],
    "engine/missing_partitions": [case(parent="forecasts", months=["2024-06-01", "2025-01-01"])],
    "prune/archive_forecasts": [case(**DAY), case(**TURN)],
    "prune/archive_generation": [case(**DAY), case(**UP_TO_NOON)],
    "prune/archive_levels": [case(**DAY)],
    "prune/count_forecasts": [case(**UP_TO_NOON), case(start_utc="-infinity", end_utc=NOON)],
    "prune/count_generation": [case(**UP_TO_NOON), case(start_utc="-infinity", end_utc=NOON)],
    "prune/delete_archived_forecasts": [
        case(
            forecast_uuids=[forecast(*one) for one in ARCHIVED_FORECASTS],
            digests=[_digest(made_utc) for _, made_utc, _ in ARCHIVED_FORECASTS],
            **UP_TO_NOON,
        ),
    ],
    "prune/delete_archived_generation": [
        case(
            site_uuids=[each for each, _ in ARCHIVED],
            starts_utc=_later(0),
            ends_utc=_later(1),
            generation_power_kw=[power] * len(ARCHIVED),
            created_utc=_later(2),
            **UP_TO_NOON,
        )
        for power in ("1", "2")  # as stored, and changed since
    ],
    "prune/delete_forecasts": [
        # of a batch of half the window one would be right to read all of it
        case(from_site=NO_SITE, batch_rows="1000", **UP_TO_NOON),
        case(from_site=site(4), batch_rows="100", **UP_TO_NOON),
    ],
    "prune/delete_generation": [
        case(from_site=NO_SITE, batch_rows="5000", **UP_TO_NOON),
        case(from_site=site(4), batch_rows="100", **UP_TO_NOON),
    ],
    **{
        f"prune/count_{table}_of_sites": [case(site_uuids=FEW, **UP_TO_NOON), case(site_uuids=SOME, **UP_TO_NOON)]
        for table in ("forecasts", "generation")
    },
    **{
        f"prune/delete_{table}_of_sites": [
            case(site_uuids=sorted(FEW), batch_rows="5000", **UP_TO_NOON),
            case(site_uuids=sorted(SOME), batch_rows="100", **UP_TO_NOON),
            case(site_uuids=sorted(ALL), batch_rows="1000", **UP_TO_NOON),
            case(site_uuids=sorted(FEW), batch_rows="100", **DECEMBER),
        ]
        for table in ("forecasts", "generation")
    },
    "prune/find_sites": [
        case(site_uuids=FEW, countries=[], site_group_names=[]),
        case(site_uuids=[], countries=["uk"], site_group_names=["group 7", "group 8"]),
    ],
    "prune/find_unknown_names": [
        case(site_uuids=[*FEW, NO_SITE], countries=["uk", "us"], site_group_names=["group 7", "nothing"]),
    ],
    "prune/sites_stage": [case(site_uuids=SOME)],
    "prune/lock": [case(name="public.generation")],
    "prune/find_table": [case(parent="generation")],
    "engine/begin": [
        case(
            statement_timeout_ms="60000",
            lock_timeout_ms="0",
            idle_timeout_ms="-1",
            fill_in="true",
            actor="",
            jit="false",
        ),
    ],
    "site_groups/add_site": [
        case(site_group_name="group 7", site_uuid=site(4)),
        case(site_group_name="group 7", site_uuid=site(51)),
        case(site_group_name="nothing", site_uuid=site(4)),
    ],
    "site_groups/create": [case(site_group_name="new", service_level="1")],
    "site_groups/delete": [case(site_group_name="empty"), case(site_group_name="nothing")],
    "site_groups/get": [case(site_group_name="group 7"), case(site_group_name="nothing")],
    "site_groups/get_or_create": [case(site_group_name="group 7"), case(site_group_name="new")],
    "site_groups/get_by_uuid": [case(site_group_uuid=group(7)), case(site_group_uuid=NO_SITE)],
    "site_groups/list": [case(**WHOLE), case(**PAGE)],
    "site_groups/rename": [case(site_group_name="group 7", new_name="new")],
    "site_groups/remove_site": [
        case(site_group_name="group 7", site_uuid=site(51)),
        case(site_group_name="group 7", site_uuid=site(4)),
    ],
    "site_groups/set_service_level": [case(site_group_name="group 7", level="3")],
    "site_groups/sites": [case(site_group_name="group 7", **WHOLE), case(site_group_name="empty", **PAGE)],
    "site_groups/users": [case(site_group_name="group 7", **WHOLE), case(site_group_name="empty", **PAGE)],
    "sites/create": [case(fields='{"latitude": 51.5, "longitude": -0.1, "capacity_kw": 4}')],
    "sites/delete_forecasts": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/delete_generation": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/delete_lock": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/delete_site": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/get": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/get_by_client_site_id": [
        case(client_site_id="7", client_site_name="roof 13", client_name=""),
        case(client_site_id="7", client_site_name="", client_name="client 14"),
        case(client_site_id="-1", client_site_name="roof 13", client_name=""),
    ],
    "sites/get_by_client_site_name": [case(client_site_name="roof 13"), case(client_site_name="nothing")],
    "sites/get_as_of": [
        case(site_uuid=site(4), at_utc="2024-06-12T00:00Z"),
        case(site_uuid=site(4), at_utc="2020-01-01T00:00Z"),
    ],
    "sites/get_or_create_existing": [
        case(client_site_name="roof 13", client_name="client 14", country="uk"),
        case(client_site_name="roof 13", client_name="", country=""),
        case(client_site_name="nothing", client_name="client 14", country=""),
    ],
    "sites/get_or_create_lock": [case(client_site_name="roof 13")],
    "sites/groups": [case(site_uuid=site(4)), case(site_uuid=NO_SITE)],
    "sites/history": [
        case(site_uuid=site(4), **WHOLE),
        case(site_uuid=site(4), **PAGE),
        case(site_uuid=NO_SITE, **WHOLE),
    ],
    "sites/list": [
        case(**ANY_SITE),
        case(**{**ANY_SITE, "country": "uk", "asset_type": "wind", "active": "true", "client_name": "client 51"}),
        case(**ONE_GROUP),
        case(**{**ANY_SITE, **PAGE, "order_by": "client_site_name"}),
    ],
    "sites/list_by_uuid": [
        case(site_uuids=FEW, **ANY_SITE),
        case(site_uuids=SOME[:20], **{**ANY_SITE, "country": "uk", "active": "true", "client_name": "client 110"}),
        case(site_uuids=FEW, **ONE_GROUP),
    ],
    "sites/list_for_user": [case(email="user7@example.com", **WHOLE), case(email="nobody", **PAGE)],
    "sites/list_for_user_within": [
        case(
            email="user7@example.com",
            latitude_min="50",
            latitude_max="54",
            longitude_min="-6",
            longitude_max="0",
            **WHOLE,
        ),
    ],
    "sites/set_ml_model": [
        case(site_uuid=site(4), model_name="model 7", model_version="1.3", newest="false"),
        case(site_uuid=site(4), model_name="model 7", model_version="", newest="true"),
        case(site_uuid=site(4), model_name="nothing", model_version="", newest="true"),
    ],
    "sites/update": [
        case(site_uuid=site(4), fields='{"tilt": 30, "dno": null}'),
        case(site_uuid=site(4), fields='{"ml_id": null, "metadata": {"a": 1}}'),
        case(site_uuid=NO_SITE, fields="{}"),
    ],
    "sites/visible": [
        case(email="user7@example.com", site_uuids=FEW),
        case(email="user7@example.com", site_uuids=ALL[:200]),
    ],
    "status/create": [case(status="ok", message="all is well")],
    "status/latest": [case()],
    "tidy/find_table": [case(parent="generation")],
    "tidy/lock": [case(name="public.generation")],
    "tidy/set_lock_timeout": [case(milliseconds="1000")],
    "tidy/statements": [case(partition="public.generation_p2024_06", last_index="")],
    "tidy/unlock": [case(name="public.generation")],
    "tidy/users": [case(partition="public.generation_p2024_06")],
    "users/create": [case(email="new@example.com", site_group_name="group 7"), case(email="x", site_group_name="none")],
    "users/delete": [case(email="user7@example.com"), case(email="nobody")],
    "users/get": [case(email="user7@example.com"), case(email="nobody")],
    "users/get_or_create": [case(email="user7@example.com"), case(email="new@example.com")],
    "users/get_by_uuid": [case(user_uuid=user(7)), case(user_uuid=NO_SITE)],
    "users/list": [case(**WHOLE), case(**PAGE)],
    "users/update": [
        case(email="user7@example.com", new_email="new@example.com"),
        case(email="nobody", new_email="new@example.com"),
    ],
    "users/set_site_group": [
        case(email="user7@example.com", site_group_name="group 9"),
        case(email="nobody", site_group_name="group 9"),
    ],
}

# How much of each there is, by other ways than those of the query files. A parameter that a file does not have is NULL.
OF_THE_SITES = """(
    (%(site_uuids)s::uuid[] IS NULL OR r.site_uuid = ANY(%(site_uuids)s::uuid[]))
    AND (
        %(user_uuids)s::uuid[] IS NULL
        OR r.site_uuid IN (
            SELECT gs.site_uuid FROM site_group_sites AS gs JOIN users AS u USING (site_group_uuid)
            WHERE u.user_uuid = ANY(%(user_uuids)s::uuid[])
        )
    )
)"""
IN_WINDOW = "r.{column} >= %(start_utc)s::timestamptz - {wider} AND r.{column} < %(end_utc)s::timestamptz + {wider}"
COUNTS = {
    "readings": f"""
        SELECT count(*) FROM generation AS r
        WHERE {OF_THE_SITES} AND {IN_WINDOW.format(column="start_utc", wider="interval '0 s'")}
    """,
    "nearby_readings": f"""
        SELECT count(*) FROM generation AS r
        WHERE {OF_THE_SITES} AND {IN_WINDOW.format(column="start_utc", wider="interval '1 d'")}
    """,
    "unfinished_forecasts": f"""
        SELECT count(*) FROM forecasts AS r
        WHERE
            {OF_THE_SITES}
            AND %(start_utc)s::timestamptz
            < r.start_utc + cardinality(r.power_kw) * r.resolution_minutes * interval '1 minute'
    """,
    "window_forecasts": f"""
        SELECT count(*) FROM forecasts AS r
        WHERE
            {OF_THE_SITES}
            AND r.timestamp_utc + COALESCE(%(horizon_minutes)s::integer, 0) * interval '1 minute'
            >= %(start_utc)s::timestamptz
            AND r.timestamp_utc + COALESCE(%(horizon_minutes)s::integer, 0) * interval '1 minute'
            < %(end_utc)s::timestamptz
    """,
    "month_forecasts": f"""
        SELECT count(*) FROM forecasts AS r
        WHERE
            {OF_THE_SITES}
            AND r.timestamp_utc >= date_trunc('month', %(start_utc)s::timestamptz, 'UTC')
            AND r.timestamp_utc
            < date_trunc('month', %(end_utc)s::timestamptz - interval '1 microsecond', 'UTC') + interval '1 month'
    """,
    "siblings": "SELECT max(n) FROM (SELECT count(*) AS n FROM forecasts GROUP BY site_uuid, timestamp_utc) AS f",
    "grids": f"""
        SELECT COALESCE(max(n), 0) FROM (
            SELECT
                count(DISTINCT (
                    r.resolution_minutes, extract(epoch FROM r.start_utc)::bigint %% (60 * r.resolution_minutes)
                )) AS n
            FROM forecasts AS r WHERE {OF_THE_SITES} GROUP BY r.site_uuid
        ) AS f
    """,
    "versions": "SELECT count(*) FROM ml_models WHERE name = COALESCE(%(model_name)s, %(name)s)",
    "places": """
        SELECT
            (
                SELECT count(*) FROM site_group_sites JOIN site_groups USING (site_group_uuid)
                WHERE site_group_name = %(site_group_name)s
            ) + (
                SELECT count(*) FROM site_group_sites JOIN users USING (site_group_uuid)
                WHERE email = %(email)s OR user_uuid = ANY(%(user_uuids)s::uuid[])
            )
    """,
    "members": """
        SELECT count(*) FROM users JOIN site_groups USING (site_group_uuid) WHERE site_group_name = %(site_group_name)s
    """,
    "changes": "SELECT count(*) FROM site_history WHERE site_uuid = %(site_uuid)s",
    "requests": f"""
        SELECT count(*) FROM api_request AS r JOIN users AS u USING (user_uuid)
        WHERE
            u.email = COALESCE(%(email)s, u.email)
            AND {IN_WINDOW.format(column="created_utc", wider="interval '0 s'")}
    """,
    "namesakes": """
        SELECT count(*) FROM sites AS s
        WHERE
            CASE
                WHEN %(client_site_ids)s::integer[] IS NOT NULL
                    THEN s.client_site_id = ANY(%(client_site_ids)s::integer[])
                WHEN %(client_site_names)s::text[] IS NOT NULL
                    THEN s.client_site_name = ANY(%(client_site_names)s::text[])
                WHEN %(client_site_id)s::integer IS NULL THEN s.client_site_name = %(client_site_name)s
                ELSE s.client_site_id = %(client_site_id)s::integer
            END
    """,
}
