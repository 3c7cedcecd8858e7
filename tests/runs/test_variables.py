"""Do variables from `docker run --env-file` work, with their quotes and carriage returns?"""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import Run
from fake_smugmug import Account
from helpers import files_on_disk, sync


def test_quotes_around_variables_are_removed(account: Account, run: Run, tmp_path: Path) -> None:
    for name in ("Summer", "Winter", "Spring"):
        account.album(name).photo()
    variables = {
        "SMUGMUG_OUTPUT": f'"{tmp_path / "photos"}"\r',
        "SMUGMUG_ALBUM": "'Summer'\r\n'Winter'\r\n",
        "SMUGMUG_JOBS": ' "3" ',
        "SMUGMUG_SIDECAR": '"xmp"',
    }
    sync(run, env=variables)
    assert list(files_on_disk(tmp_path / "photos")) == ["Summer/IMG_1.JPG", "Winter/IMG_1.JPG"]
    assert not run.output.exists()


@pytest.mark.parametrize(
    "name", ["SMUGMUG_OUTPUT", "SMUGMUG_JOBS", "SMUGMUG_LAYOUT", "SMUGMUG_API_SECRET"]
)
def test_odd_variables_end_the_run_by_name_before_anything_is_written(
    account: Account, run: Run, tmp_path: Path, name: str
) -> None:
    account.album("Summer").photo()
    before = set(run.folder.iterdir())
    told = sync(run, exit_code=2, env={name: '"precious'})
    assert name in told.stderr and "precious" not in told.stderr
    assert told.downloads == 0 and set(run.folder.iterdir()) == before
