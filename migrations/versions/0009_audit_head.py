"""Where the audit's chain ends, sealed: without it, links that are taken from its end with their rows are not missed."""

from alembic import op

revision = "0009_audit_head"
down_revision = "0008_job_traces"
branch_labels = None
depends_on = None

HEAD = """
create table audit_head (
    one boolean not null default true,
    hour timestamptz not null,
    digest bytea not null,
    seal bytea not null,
    sealed_with text not null,
    constraint pk_audit_head primary key (one),
    constraint ck_audit_head_one check (one)
)
"""


def upgrade() -> None:
    op.execute("alter table audit_link add column number bigint")
    op.execute(HEAD)


def downgrade() -> None:
    op.execute("drop table audit_head")
    op.execute("alter table audit_link drop column number")
