"""The JSON of the audit."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.audit.repository import Filters
from app.core import asked
from app.db.audit import Outcome
from app.db.paging import Page, PageAsked
from app.db.tables.audit import AuditTable

Text = Annotated[str, StringConstraints(max_length=256)]
Moment = Annotated[  # the database's calendar ends where a time zone leads beyond the first or last year
    asked.Moment, Field(ge=datetime(1900, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
]


class AuditAsked(PageAsked):
    """What is asked for; what is left out may be anything."""

    actor: Text | None = Field(None, description="who did it", examples=["user:7"])
    action: Text | None = Field(None, description="what was done", examples=["version.move"])
    object: Text | None = Field(None, description="to what", examples=["model:fraud"])
    outcome: Outcome | None = Field(None, description="how it ended")
    request_id: Text | None = Field(None, description="in which request")
    from_: Moment | None = Field(None, alias="from", description="not before")
    to: Moment | None = Field(None, description="before")

    def filters(self) -> Filters:
        return Filters(
            actor=self.actor,
            action=self.action,
            thing=self.object,
            outcome=self.outcome,
            request_id=self.request_id,
            since=self.from_,
            until=self.to,
        )


class AuditEntry(BaseModel):
    """One thing done."""

    model_config = ConfigDict(frozen=True)

    id: int = Field(examples=[4711], description="grows; numbers may be missing where a change was given up")
    at: datetime = Field(examples=["2026-01-01T00:00:00Z"])
    actor: str = Field(
        examples=["user:7"],
        description="`user:…`, `key:…`, `command:…`, `job:…`; `anonymous` who did not say, `system` the process itself",
    )
    address: str | None = Field(examples=["203.0.113.7"], description="null: done on the machine itself")
    action: str = Field(examples=["version.move"])
    object: str = Field(examples=["model:fraud"], description="what it was done to")
    outcome: Outcome = Field(examples=["done"], description="`unchanged`: it was so already")
    before: str | None = Field(examples=[None], description="SHA-256 of the object's state before, in hexadecimal")
    after: str | None = Field(examples=[None], description="SHA-256 of its state afterwards")
    details: dict[str, Any] = Field(examples=[{"version": "2", "origin": "staging", "target": "production"}])
    request_id: str | None = Field(examples=["01J9ZQ4Y3W8V"], description="finds the request in the log")

    @classmethod
    def of(cls, row: AuditTable) -> "AuditEntry":
        return cls(
            id=row.id,
            at=row.at,
            actor=row.actor,
            address=row.address,
            action=row.action,
            object=row.object,
            outcome=row.outcome,
            before=None if row.before is None else row.before.hex(),
            after=None if row.after is None else row.after.hex(),
            details=row.details,
            request_id=row.request_id,
        )


class AuditAnswer(BaseModel):
    """The newest first."""

    model_config = ConfigDict(frozen=True)

    entries: list[AuditEntry]
    next_cursor: str | None = Field(examples=[None])

    @classmethod
    def of(cls, page: Page[AuditTable]) -> "AuditAnswer":
        return cls(entries=[AuditEntry.of(row) for row in page.rows], next_cursor=page.next_cursor)
