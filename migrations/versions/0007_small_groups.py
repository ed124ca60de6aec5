"""A small group of predictions stored by one statement: five round trips less one are what single rows waited for."""

from alembic import op

revision = "0007_small_groups"
down_revision = "0006_jobs"
branch_labels = None
depends_on = None

# Each statement of a function sees what had been committed when it began, so an erasure that held one of the keys is
# seen by the last one. A place is `app.tracking.arrival`'s; 1577836800 is 2020.
STORE = """
create function store_predictions(
    minute timestamptz, model int4, keys bytea[], numbers int4[], contents int8[], moments int8[],
    outputs float8[], contexts int4[], classes int2[], vectors bytea[],
    block_format int2, block_body bytea, delta_kind int2, delta_body bytea
) returns bool language plpgsql as $$
declare
    arrived timestamptz;
    block_no int8;
begin
    perform pg_current_xact_id();
    arrived := clock_timestamp();
    if date_trunc('minute', arrived, 'UTC') <> minute then
        return false;
    end if;
    block_no := ((floor(extract(epoch from arrived))::int8 - 1577836800) << 16) | (nextval('block_seq') & 65535);
    insert into prediction (key, place, content, predicted_at, score, context_id, predicted, scores)
    select s.key, (block_no << 16) | s.number, s.content,
        'epoch'::timestamptz + s.moment * interval '1 microsecond', s.output, s.context, s.class, s.vector
    from unnest(keys, numbers, contents, moments, outputs, contexts, classes, vectors)
        as s (key, number, content, moment, output, context, class, vector);
    insert into block (block_id, known_from, known_to, model_no, n, format, body)
    values (block_no, arrived, arrived, model, cardinality(keys), block_format, block_body);
    insert into delta (known_at, model_no, kind, body) values (arrived, model, delta_kind, delta_body);
    if exists (select from erased where model_no = model) then
        raise exception 'rows of the model were erased: its keys have to be looked up';
    end if;
    return true;
end $$
"""


def upgrade() -> None:
    op.execute(STORE)


def downgrade() -> None:
    op.execute("drop function store_predictions")
