"""MLflow's tracking server as one process, on PostgreSQL: the trace store of the small profile, and its pages.

MLflow's own command line would add a parent process of 250 MB and eight workers for jobs that a trace store has not.
Settings come from the environment and are none of them secret: PGHOST, PGPORT, PGUSER, PGDATABASE,
PRAXIS_DB_PASSWORD_FILE, MLFLOW_SERVER_ALLOWED_HOSTS (``host:port`` by which it is called, separated by commas).
"""

from __future__ import annotations

import gc
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

PORT = 5000
KEEP_ALIVE_S = 120
"""Longer than the edge keeps a connection that nobody uses (90 s), so that it is the one to close."""
ARTIFACTS = Path("/var/lib/mlflow/artifacts")
EXPERIMENT_ID = 1
"""Where the collector sends traces: it names the experiment by this id."""
EXPERIMENT = "praxis"
DATABASE_WAIT_S = 60
SETTINGS = {
    "PGHOST": "postgres",
    "PGPORT": "5432",
    "PGUSER": "mlflow",
    "PGDATABASE": "mlflow",
    "PRAXIS_DB_PASSWORD_FILE": "/run/secrets/mlflow-db-password",
    "MLFLOW_SERVER_ALLOWED_HOSTS": f"mlflow:{PORT},127.0.0.1:{PORT}",
    # No calls home, no processes for jobs, no assistant that runs programs.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "5",
    "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "5",
    # PostgreSQL may have been restarted since a connection was last used.
    "MLFLOW_SQLALCHEMYSTORE_POOL_RECYCLE": "1800",
}


class StartError(Exception):
    """Why the server cannot start, in one line."""


def configure() -> str:
    """Put the settings into this process alone and return the database's URL, which holds no password.

    libpq reads the password from its own variable, so no URL, log or error page of MLflow's can show it.
    Raises :class:`StartError` if there is no password.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    secret = Path(os.environ["PRAXIS_DB_PASSWORD_FILE"])
    try:
        os.environ["PGPASSWORD"] = secret.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StartError(f"the database's password: {error}") from None
    hosts = [host.strip() for host in os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")]
    origins = ",".join(f"{scheme}://{host}" for host in hosts for scheme in ("http", "https"))
    os.environ.setdefault("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", origins)
    url = f"postgresql+psycopg2://{os.environ['PGUSER']}@/{os.environ['PGDATABASE']}"
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": url,
            "_MLFLOW_SERVER_REGISTRY_STORE": url,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": ARTIFACTS.as_uri(),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        }
    )
    return url


def prepare_database(url: str) -> None:
    """Wait for the database, bring its tables to this version of MLflow, and make the experiment.

    Raises :class:`StartError` if the database does not answer in time or the experiment's id is taken.
    """
    from mlflow.store.db import utils
    from sqlalchemy import create_engine, inspect
    from sqlalchemy.exc import OperationalError

    engine = create_engine(url)
    deadline = time.monotonic() + DATABASE_WAIT_S
    while True:
        try:
            with engine.connect() as connection:
                new = not inspect(connection).has_table("experiments")
            break
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise StartError(f"the database does not answer: {str(error.orig).strip()}") from None
            time.sleep(0.5)
    if new:
        utils._initialize_tables(engine)
    elif utils._get_schema_version(engine) != utils._get_latest_schema_revision():
        utils._upgrade_db(engine)
    with engine.begin() as connection:
        make_experiment(connection)
    engine.dispose()


def make_experiment(connection: Connection) -> None:
    """The experiment under its known id, unless it is there. Raises :class:`StartError` if the id is another's."""
    from sqlalchemy import text

    found = connection.execute(
        text("SELECT name FROM experiments WHERE experiment_id = :id"), {"id": EXPERIMENT_ID}
    ).scalar()
    if found not in {None, EXPERIMENT}:
        raise StartError(f"experiment {EXPERIMENT_ID} is called {found!r}, not {EXPERIMENT!r}: rename it back")
    now = time.time_ns() // 1_000_000
    connection.execute(
        text(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            " last_update_time, workspace) VALUES (:id, :name, :place, 'active', :now, :now, 'default')"
            " ON CONFLICT (experiment_id) DO UPDATE SET lifecycle_stage = 'active'"
        ),
        {"id": EXPERIMENT_ID, "name": EXPERIMENT, "place": f"mlflow-artifacts:/{EXPERIMENT_ID}", "now": now},
    )
    # The id was given by hand, so the sequence has to be told; it may never fall behind what is there.
    connection.execute(
        text(
            "SELECT setval(pg_get_serial_sequence('experiments', 'experiment_id'),"
            " (SELECT greatest(max(experiment_id), 1) FROM experiments))"
        )
    )


def main() -> int:
    """Serve until told to end."""
    gc.disable()  # nothing is garbage while modules are loaded: looking for it takes a third of the start
    try:
        url = configure()
        prepare_database(url)
    except StartError as error:
        print(f"mlflow: {error}", file=sys.stderr)
        return 1

    warnings.filterwarnings("ignore", message="starlette.middleware.wsgi is deprecated")
    import uvicorn
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import _get_tracking_store

    _get_tracking_store()  # now, and not while the first trace waits
    # What is loaded stays: no collection need walk it again, and the pages it lies on are not written to.
    gc.collect()
    gc.freeze()
    gc.enable()
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104 - inside its own networks
        port=PORT,
        log_level="warning",
        access_log=False,  # the addresses of pages name traces and people
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
