"""Users, log-ins with their refresh tokens, API keys."""

from alembic import op

revision = "0001_auth"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table users (
            id integer generated always as identity,
            email text not null,
            password_hash text not null,
            role text not null,
            token_version integer not null,
            created_at timestamptz not null,
            disabled_at timestamptz,
            constraint pk_users primary key (id),
            constraint uq_users_email unique (email),
            constraint ck_users_email check (email = lower(email) and length(email) <= 254),
            constraint ck_users_role check (role in
                ('viewer', 'data_scientist', 'ml_engineer', 'senior_data_scientist', 'team_lead', 'admin'))
        )
        """
    )
    op.execute(
        """
        create table log_in (
            id uuid not null,
            user_id integer not null,
            created_at timestamptz not null,
            ends_at timestamptz not null,
            revoked_at timestamptz,
            constraint pk_log_in primary key (id),
            constraint fk_log_in_user_id_users foreign key (user_id) references users (id) on delete cascade
        )
        """
    )
    op.execute("create index ix_log_in_user_id on log_in (user_id)")
    op.execute(
        """
        create table refresh_token (
            digest bytea not null,
            log_in_id uuid not null,
            expires_at timestamptz not null,
            used_at timestamptz,
            used_by bytea,
            constraint pk_refresh_token primary key (digest),
            constraint fk_refresh_token_log_in_id_log_in foreign key (log_in_id) references log_in (id) on delete cascade
        )
        """
    )
    op.execute("create index ix_refresh_token_log_in_id on refresh_token (log_in_id)")
    op.execute(
        """
        create table api_key (
            id text not null,
            digest bytea not null,
            name text not null,
            scopes text[] not null,
            models text[],
            created_by integer not null,
            created_at timestamptz not null,
            expires_at timestamptz,
            revoked_at timestamptz,
            constraint pk_api_key primary key (id),
            constraint fk_api_key_created_by_users foreign key (created_by) references users (id)
        )
        """
    )


def downgrade() -> None:
    op.execute("drop table api_key")
    op.execute("drop table refresh_token")
    op.execute("drop table log_in")
    op.execute("drop table users")
