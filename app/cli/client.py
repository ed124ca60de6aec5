"""The HTTP API as the commands use it: waits while the server is busy or away, and tells refusals apart."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import msgspec

TIMEOUT_S = 60.0  # a full batch takes well under a second; a server that folds or checkpoints may take longer
PATIENCE_S = 120.0  # how long an unreachable or overloaded server is waited for before the command gives up
FIRST_PATIENCE_S = 5.0  # for a server that has not answered once: the address may be wrong, or it is not running
MAX_PAUSE_S = 5.0
_LATER = frozenset({429, 502, 503, 504})


class Refused(Exception):  # noqa: N818  an answer, not a failure of ours
    """The server said no; `problem` is its problem+json (RFC 9457), empty where it sent none."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        super().__init__(str(problem.get("detail") or problem.get("title") or f"the server answered {status}"))


class Unreachable(Exception):  # noqa: N818
    """Nobody answered for longer than the patience."""


class Client:
    """One server, one identity. Requests that `repeat` are tried again: only for what is harmless to do twice."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(base_url=f"{self.url}/api/v1", timeout=TIMEOUT_S, trust_env=False)
        self._patience_s = patience_s
        self._sleep = sleep
        self._met = False  # whether it has ever answered
        if token is not None:
            self.identify(token)

    def identify(self, token: str) -> None:
        """From here on requests carry this access token or API key."""
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **query: str) -> Any:
        return self._answer(lambda: self._http.get(path, params=query), repeat=True)

    def post(self, path: str, body: Any, *, repeat: bool = False) -> Any:
        return self._send("POST", path, body, repeat=repeat)

    def put(self, path: str, body: Any) -> Any:
        return self._send("PUT", path, body, repeat=True)

    def form(self, path: str, **fields: str) -> Any:
        return self._answer(lambda: self._http.post(path, data=fields), repeat=False)

    def _send(self, method: str, path: str, body: Any, *, repeat: bool) -> Any:
        content = msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        return self._answer(lambda: self._http.request(method, path, content=content, headers=headers), repeat=repeat)

    def _answer(self, ask: Callable[[], httpx.Response], *, repeat: bool) -> Any:
        started = time.monotonic()
        pause = 0.2
        while True:
            try:
                response = ask()
            except httpx.TransportError as error:
                reason, pause_asked = f"{self.url} does not answer ({type(error).__name__})", 0.0
                lost = not isinstance(error, httpx.ConnectError)
                if lost and not repeat:  # it may have been done
                    raise Unreachable(reason) from error
            else:
                self._met = True
                if response.status_code not in _LATER:
                    return _content(response)
                reason = f"{self.url} answers {response.status_code}"
                pause_asked = _seconds(response.headers.get("Retry-After"))
            wait = max(pause, pause_asked)
            patience_s = self._patience_s if self._met else min(self._patience_s, FIRST_PATIENCE_S)
            if time.monotonic() + wait > started + patience_s:
                raise Unreachable(reason)
            self._sleep(wait)
            pause = min(pause * 2, MAX_PAUSE_S)


def _content(response: httpx.Response) -> Any:
    try:
        content = msgspec.json.decode(response.content) if response.content else {}
    except msgspec.DecodeError:
        content = {}
    if response.is_success:
        return content
    raise Refused(response.status_code, content if isinstance(content, dict) else {})


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds; the form with a date, which our server never sends, counts as none."""
    return float(header) if header is not None and header.isdigit() else 0.0
