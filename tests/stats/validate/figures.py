from rich.console import Console


def draw(console: Console) -> int:
    return 0
