"""The hot path: keys of predictions, their blocks, labels, waiting labels, deltas and the dictionaries of segments."""

import time

from alembic import op

from app.core.clock import DAY, rfc3339
from app.tracking.arrival import day_of, first_block, first_place

revision = "0003_tracking"
down_revision = "0002_models"
branch_labels = None
depends_on = None

DAYS_AHEAD = 7  # the daily upkeep goes on from there; what it should miss goes to the default partitions

UPGRADE = """
create sequence block_seq as bigint;
create table prediction (
    key bytea not null,
    place int8 not null,
    content int8 not null,
    predicted_at timestamptz not null,
    score float8 not null,
    context_id int4 not null,
    predicted int2 not null,
    scores bytea,
    constraint pk_prediction primary key (key)
);
create index ix_prediction_place on prediction using brin (place);
create table block (
    block_id int8 not null,
    xid xid8 not null default pg_current_xact_id(),
    known_from timestamptz not null,
    known_to timestamptz not null,
    model_no int4 not null,
    n int4 not null,
    format int2 not null,
    body bytea not null,
    constraint pk_block primary key (block_id)
) partition by range (block_id);
alter table block alter column body set storage external;
create index ix_block_known on block (model_no, known_from, known_to);
create index ix_block_xid on block (model_no, xid);
create table label (
    place int8 not null,
    actual float8 not null,
    replaces float8,
    event_at timestamptz not null,
    arrived_at timestamptz not null,
    known_at timestamptz not null,
    predicted_at timestamptz not null,
    score float8 not null,
    model_no int4 not null,
    context_id int4 not null,
    revision int2 not null,
    predicted int2 not null,
    scores bytea,
    constraint pk_label primary key (place, revision)
) partition by range (place);
create index ix_label_known_at on label using brin (known_at);
create table label_waiting (
    key bytea not null,
    model_no int4 not null,
    actual float8 not null,
    event_at timestamptz not null,
    arrived_at timestamptz not null,
    known_at timestamptz not null,
    constraint pk_label_waiting primary key (key)
);
create table delta (
    xid xid8 not null default pg_current_xact_id(),
    known_at timestamptz not null,
    model_no int4 not null,
    kind int2 not null,
    body bytea not null
) partition by range (known_at);
alter table delta alter column body set storage external;
create index ix_delta_model_no_xid on delta (model_no, xid);
create table segment (
    segment_no int4 not null generated always as identity,
    model_no int4 not null,
    dimension text not null,
    value text not null,
    constraint pk_segment primary key (segment_no),
    constraint uq_segment_model_no_dimension_value unique (model_no, dimension, value)
);
create table context (
    context_id int4 not null generated always as identity,
    model_no int4 not null,
    version_no int4 not null,
    segment_nos int4[] not null,
    constraint pk_context primary key (context_id),
    constraint uq_context_model_no_version_no_segment_nos unique (model_no, version_no, segment_nos)
);
create table subject (
    model_no int4 not null,
    subject bytea not null,
    place int8 not null,
    constraint pk_subject primary key (model_no, subject, place)
);
create table subject_secret (
    secret bytea not null,
    single bool not null default true,
    constraint pk_subject_secret primary key (single),
    constraint ck_subject_secret_single check (single)
);
insert into subject_secret (secret) values (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
create table block_default partition of block default;
create table label_default partition of label default;
create table delta_default partition of delta default;
"""

TABLES = "subject_secret, subject, context, segment, delta, label_waiting, label, block, prediction"


def upgrade() -> None:
    today = time.time_ns() // 1000 // DAY * DAY
    days = [statement for day in range(DAYS_AHEAD) for statement in partitions(today + day * DAY)]
    for statement in [*UPGRADE.split(";\n"), *days]:  # the driver prepares one statement at a time
        if statement.strip():
            op.execute(statement)


def partitions(day: int) -> list[str]:
    """The statements that make the partitions of the day that starts at `day` (us)."""
    name, end = day_of(day), day + DAY
    blocks, places = (first_block(day), first_block(end)), (first_place(day), first_place(end))
    return [
        f"create table block_{name} partition of block for values from ({blocks[0]}) to ({blocks[1]})",
        f"create table label_{name} partition of label for values from ({places[0]}) to ({places[1]})",
        f"create table delta_{name} partition of delta for values from ('{rfc3339(day)}') to ('{rfc3339(end)}')",
    ]


def downgrade() -> None:
    op.execute(f"drop table {TABLES}")
    op.execute("drop sequence block_seq")
