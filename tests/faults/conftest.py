"""One product for the faults that leave it whole: its own database, with everything on that makes it safe."""

from collections.abc import Iterator

import pytest

from tests.support.room import room
from tests.support.served import ServedProduct


@pytest.fixture(scope="package")
def product() -> Iterator[ServedProduct]:
    with room() as folder:
        served = ServedProduct(folder)
        served.start()
        try:
            served.wait_until_ready()
            yield served
        finally:
            served.stop()
