"""Rollups, the arrival triangle, fold marks, the horizon, feature histograms."""

from alembic import op

revision = "0004_rollups"
down_revision = "0003_tracking"
branch_labels = None
depends_on = None

UPGRADE = """
create table rollup (
    model_no int not null,
    version_no int not null,
    segment_no int not null,
    grain int not null,
    cohort int not null,
    n bigint not null,
    labelled bigint not null,
    core bytea not null,
    hist bytea,
    constraint pk_rollup primary key (model_no, version_no, segment_no, grain, cohort)
) with (fillfactor = 75);
create table triangle (
    model_no int not null,
    version_no int not null,
    segment_no int not null,
    grain int not null,
    cohort int not null,
    tier int not null,
    known int not null,
    n bigint not null,
    labelled bigint not null,
    core bytea not null,
    hist bytea,
    constraint pk_triangle primary key (model_no, version_no, segment_no, grain, cohort, tier, known)
) partition by range (cohort);
create table triangle_default partition of triangle default with (fillfactor = 75);
create table fold_mark (
    model_no int not null,
    xid xid8 not null,
    deltas bigint not null,
    epoch int not null,
    features_xid xid8 not null,
    reference_revision int not null,
    retained_from bigint not null,
    constraint pk_fold_mark primary key (model_no)
) with (fillfactor = 50);
create table horizon (
    one bool not null default true,
    at_us bigint not null,
    noted_us bigint not null,
    noted_xid xid8 not null,
    folded_below xid8 not null,
    constraint pk_horizon primary key (one),
    constraint ck_horizon_one check (one)
) with (fillfactor = 50);
insert into horizon (at_us, noted_us, noted_xid, folded_below) values (0, 0, '0', '0');
create table feature_reference (
    model_no int not null,
    revision int not null,
    bins jsonb not null,
    fixed_at timestamptz not null,
    constraint pk_feature_reference primary key (model_no)
);
create table feature_rollup (
    model_no int not null,
    version_no int not null,
    grain int not null,
    cohort int not null,
    n bigint not null,
    body bytea not null,
    constraint pk_feature_rollup primary key (model_no, version_no, grain, cohort)
) with (fillfactor = 75);
alter table rollup alter column hist set storage external;
alter table triangle alter column hist set storage external;
alter table triangle_default alter column hist set storage external;
alter table feature_rollup alter column body set storage external;
create index ix_delta_xid on delta (xid);
"""

DOWNGRADE = """
drop index ix_delta_xid;
drop table feature_rollup, feature_reference, horizon, fold_mark, triangle, rollup;
"""


def upgrade() -> None:
    for statement in UPGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    for statement in DOWNGRADE.split(";\n"):
        if statement.strip():
            op.execute(statement)
