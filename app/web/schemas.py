"""What the page asks for: the board's question, as the form and the address bar send it."""

from urllib.parse import urlencode

from app.analytics.schemas import BoardAsked


class PageAsked(BoardAsked):
    """The same parameters as `GET /analytics/dashboard/data`."""

    def address(self) -> str:
        """As a query, without what is left open."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return urlencode(values)

    @property
    def narrowed(self) -> bool:
        """Whether anything but the model was chosen."""
        return bool(self.model_dump(exclude_defaults=True, exclude={"model"}))
