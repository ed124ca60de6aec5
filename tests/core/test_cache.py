"""The small memory of a process."""

from app.core.cache import Remembered


class TestRemembered:
    def test_gives_back_until_the_end(self) -> None:
        memory: Remembered[str, int] = Remembered(10)
        memory.put("a", 1, until_us=100)
        assert memory.get("a", 99) == 1
        assert memory.get("a", 100) is None
        assert len(memory) == 0

    def test_never_holds_more_than_its_size(self) -> None:
        memory: Remembered[int, int] = Remembered(3)
        for n in range(10):
            memory.put(n, n, until_us=1000)
        assert len(memory) == 3
        assert [memory.get(n, 0) for n in (6, 7, 8, 9)] == [None, 7, 8, 9]

    def test_a_value_put_again_is_new_again(self) -> None:
        memory: Remembered[str, int] = Remembered(2)
        for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
            memory.put(key, value, until_us=1000)
        assert (memory.get("a", 0), memory.get("b", 0), memory.get("c", 0)) == (3, None, 4)

    def test_forgets(self) -> None:
        memory: Remembered[str, int] = Remembered(2)
        memory.put("a", 1, until_us=1000)
        memory.forget("a")
        memory.forget("never there")
        assert memory.get("a", 0) is None
