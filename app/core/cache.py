"""A small memory of a process: bounded, and nothing outlives its time."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Values with an end, in µs of the clock that asks. When full, the one put in first goes."""

    __slots__ = ("_items", "_size")

    def __init__(self, size: int) -> None:
        self._items: dict[Key, tuple[Value, int]] = {}
        self._size = size

    def get(self, key: Key, now_us: int) -> Value | None:
        found = self._items.get(key)
        if found is None:
            return None
        if found[1] <= now_us:
            self._items.pop(key, None)
            return None
        return found[0]

    def put(self, key: Key, value: Value, until_us: int) -> None:
        self._items.pop(key, None)
        if len(self._items) >= self._size:
            del self._items[next(iter(self._items))]
        self._items[key] = (value, until_us)

    def forget(self, key: Key) -> None:
        self._items.pop(key, None)

    def clear(self) -> None:
        self._items.clear()

    def __len__(self) -> int:
        return len(self._items)
