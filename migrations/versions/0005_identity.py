"""The audit with its hourly chain, requests that are carried out once, signing keys by age, when an API key was used."""

from alembic import op

revision = "0005_identity"
down_revision = "0004_rollups"
branch_labels = None
depends_on = None

# Whoever writes a row holds the lock shared until its transaction ends, and takes its number only then; whoever closes
# an hour takes it alone. So every row up to the highest number is there or will never be: none slips into a closed hour.
LOCK = 0x0A55AD

TABLES = """
create sequence audit_id as bigint;
create table audit (
    id bigint not null,
    at timestamptz not null,
    actor text not null,
    address text,
    action text not null,
    object text not null,
    outcome text not null,
    before bytea,
    after bytea,
    details jsonb not null,
    request_id text,
    constraint pk_audit primary key (id),
    constraint ck_audit_outcome check (outcome in ('done', 'unchanged', 'refused'))
);
create index ix_audit_at on audit (at);
create index ix_audit_actor_id on audit (actor, id);
create index ix_audit_object_id on audit (object, id);
create index ix_audit_request_id on audit (request_id);
create table audit_link (
    hour timestamptz not null,
    last_id bigint not null,
    ids bigint[] not null,
    leaves bytea not null,
    digest bytea not null,
    seal bytea not null,
    sealed_with text not null,
    closed_at timestamptz not null,
    constraint pk_audit_link primary key (hour)
);
create table idempotency (
    principal text not null,
    key_digest bytea not null,
    request_digest bytea not null,
    request_id text not null,
    claimed_at timestamptz not null,
    expires_at timestamptz not null,
    status smallint,
    answer bytea,
    constraint pk_idempotency primary key (principal, key_digest)
);
create index ix_idempotency_expires_at on idempotency (expires_at);
create table signing_key (
    kid text not null,
    algorithm text not null,
    first_seen_at timestamptz not null,
    retired_at timestamptz,
    constraint pk_signing_key primary key (kid)
);
alter table api_key add column last_used_at timestamptz
"""

NUMBER = f"""
create function audit_numbered() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared({LOCK});
    new.id := nextval('audit_id');
    return new;
end $$
"""

REFUSE = """
create function audit_refused() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: the audit is only ever added to', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end $$
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute(NUMBER)
    op.execute(REFUSE)
    op.execute("create trigger numbered before insert on audit for each row execute function audit_numbered()")
    for table in ("audit", "audit_link"):
        op.execute(
            f"create trigger kept before update or delete or truncate on {table} "
            "for each statement execute function audit_refused()"
        )
        op.execute(f"alter table {table} enable always trigger kept")
    op.execute("alter table audit enable always trigger numbered")


def downgrade() -> None:
    op.execute("alter table api_key drop column last_used_at")
    op.execute("drop table signing_key, idempotency, audit_link, audit")
    op.execute("drop function audit_numbered")
    op.execute("drop function audit_refused")
    op.execute("drop sequence audit_id")
