"""The trace that a job goes on: that of the request which enqueued it."""

from alembic import op

revision = "0008_job_traces"
down_revision = "0007_small_groups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table job add column traceparent text")


def downgrade() -> None:
    op.execute("alter table job drop column traceparent")
