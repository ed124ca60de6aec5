"""The model registry: models, versions, aliases, states, setup."""

from alembic import op

revision = "0002_models"
down_revision = "0001_auth"
branch_labels = None
depends_on = None

STATES = "'registered','tracking','training','validated','staging','production','deprecated','archived'"

UPGRADE = f"""
create table model (
    id int generated always as identity,
    model_id text not null,
    task text not null,
    classes text[] not null,
    positive int not null,
    threshold float8 not null,
    allow_new_classes bool not null,
    feature_schema jsonb not null,
    retention_days int,
    reference jsonb,
    reference_revision int not null,
    revision int not null,
    lifecycle_revision int not null,
    created_at timestamptz not null,
    archived_at timestamptz,
    constraint pk_model primary key (id),
    constraint uq_model_model_id unique (model_id),
    constraint ck_model_task check (task in ('binary', 'multiclass', 'regression'))
);
create table model_version (
    id int generated always as identity,
    model_no int not null,
    version text not null,
    state text not null,
    model_type text,
    training_data_hash text,
    created_at timestamptz not null,
    constraint pk_model_version primary key (id),
    constraint uq_model_version_model_no_version unique (model_no, version),
    constraint fk_model_version_model_no foreign key (model_no) references model (id),
    constraint ck_model_version_state check (state in ({STATES}))
);
create table model_alias (
    model_no int not null,
    alias text not null,
    version_no int not null,
    constraint pk_model_alias primary key (model_no, alias),
    constraint fk_model_alias_model_no foreign key (model_no) references model (id),
    constraint fk_model_alias_version_no foreign key (version_no) references model_version (id)
);
create table version_move (
    id int generated always as identity,
    model_no int not null,
    version_no int not null,
    from_state text,
    to_state text not null,
    reason text,
    moved_by text not null,
    moved_at timestamptz not null,
    constraint pk_version_move primary key (id),
    constraint fk_version_move_model_no foreign key (model_no) references model (id),
    constraint fk_version_move_version_no foreign key (version_no) references model_version (id)
);
create index ix_version_move_model_no on version_move (model_no);
create table version_setup (
    version_no int not null,
    model_info jsonb not null,
    dataset_config jsonb not null,
    monitoring_config jsonb not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint pk_version_setup primary key (version_no),
    constraint fk_version_setup_version_no foreign key (version_no) references model_version (id)
);
create table version_monitor (
    id int generated always as identity,
    version_no int not null,
    name text not null,
    metric text not null,
    threshold float8 not null,
    real_time bool not null,
    status text not null,
    constraint pk_version_monitor primary key (id),
    constraint uq_version_monitor_version_no_name unique (version_no, name),
    constraint fk_version_monitor_version_no foreign key (version_no) references model_version (id)
);
create table version_channel (
    version_no int not null,
    name text not null,
    position int not null,
    status text not null,
    constraint pk_version_channel primary key (version_no, name),
    constraint fk_version_channel_version_no foreign key (version_no) references model_version (id),
    constraint ck_version_channel_status check (status in ('configured', 'unconfigured'))
);
"""

TABLES = "version_channel, version_monitor, version_setup, version_move, model_alias, model_version, model"


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):  # the driver prepares one statement at a time
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute(f"drop table {TABLES}")
