"""Jobs: the queue's own schema (procrastinate 3.10, as it ships it), our rows, and what an erasure leaves."""

from pathlib import Path

from alembic import op

revision = "0006_jobs"
down_revision = "0005_identity"
branch_labels = None
depends_on = None

QUEUE = Path(__file__).parents[1] / "queue" / "procrastinate-3.10.sql"

UPGRADE = """
create table job (
    id int8 not null generated always as identity,
    kind text not null,
    status text not null default 'queued',
    revision int4 not null default 1,
    arguments jsonb not null,
    model_id text,
    single text,
    attempt int4 not null default 0,
    failures int4 not null default 0,
    worker int8,
    cancel_requested bool not null default false,
    fraction float8 not null default 0,
    stage text not null default '',
    message text not null default '',
    result jsonb,
    error jsonb,
    created_by text not null,
    created_at timestamptz not null default clock_timestamp(),
    due_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    constraint pk_job primary key (id),
    constraint ck_job_status check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled'))
);
create unique index uq_job_single on job (single) where status in ('queued', 'running');
create index ix_job_status_due_at on job (status, due_at) where status in ('queued', 'running');
create index ix_job_model_id_id on job (model_id, id);
create index ix_job_kind_id on job (kind, id);
create index ix_job_finished_at on job (finished_at) where finished_at is not null;
create table erased (
    model_no int4 not null,
    digest bytea not null,
    place int8 not null,
    constraint pk_erased primary key (model_no, digest)
);
create table erasure (
    model_no int4 not null,
    hour int4 not null,
    body bytea not null
);
create index ix_erasure_model_no_hour on erasure (model_no, hour)
"""

DOWNGRADE = """
drop table job, erased, erasure;
drop function procrastinate_fetch_job_v2;
drop table procrastinate_periodic_defers, procrastinate_events, procrastinate_jobs, procrastinate_workers;
drop function procrastinate_defer_jobs_v1, procrastinate_defer_periodic_job_v2,
    procrastinate_finish_job_v1, procrastinate_cancel_job_v1, procrastinate_retry_job_v1, procrastinate_retry_job_v2,
    procrastinate_notify_queue_job_inserted_v1, procrastinate_notify_queue_abort_job_v1,
    procrastinate_trigger_function_status_events_insert_v1, procrastinate_trigger_function_status_events_update_v1,
    procrastinate_trigger_function_scheduled_events_v1, procrastinate_trigger_abort_requested_events_procedure_v1,
    procrastinate_unlink_periodic_defers_v1, procrastinate_register_worker_v1, procrastinate_unregister_worker_v1,
    procrastinate_update_heartbeat_v1, procrastinate_prune_stalled_workers_v1;
drop type procrastinate_job_to_defer_v1, procrastinate_job_event_type, procrastinate_job_status
"""


def upgrade() -> None:
    run(QUEUE.read_text())
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)


def run(script: str) -> None:
    """A whole script in the migration's transaction; the dialect would prepare it, which takes one statement only."""
    connection = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
