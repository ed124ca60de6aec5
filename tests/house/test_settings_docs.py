"""What `.env.example` says of the settings (that it is up to date: `test_generated_docs`)."""

import os
from pathlib import Path

import pytest

from app.cli.settings import example
from app.core.settings import Settings


class TestEnvExample:
    def test_says_what_each_setting_means(self) -> None:
        lines = example().splitlines()
        settings = [number for number, line in enumerate(lines) if line.startswith("#ASSAY_")]
        assert len(settings) > 20
        for number in settings:
            assert lines[number - 1].startswith("# "), lines[number]

    def test_its_defaults_are_accepted_as_they_stand(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("ASSAY_")]:
            monkeypatch.delenv(name)
        given = [line[1:] for line in example().splitlines() if line.startswith("#ASSAY_") and not line.endswith("=")]
        file = tmp_path / ".env"
        file.write_text("\n".join(given))
        assert Settings(_env_file=file) == Settings(_env_file=None)
