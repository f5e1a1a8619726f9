from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cli.configuration import configured
from appliance.cli.errors import CliError


def test_options_lie_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:6000"\nhttp = "127.0.0.1:6001"\n')
    config = configured(file, listen="127.0.0.1:0", state=tmp_path)
    assert config.server.listen == "127.0.0.1:0"
    assert config.server.http == "127.0.0.1:6001"
    assert config.storage.state_dir == tmp_path


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:port", "a:b:1"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(CliError, match="HOST:PORT"):
        configured(None, listen=address)


def test_a_port_that_is_none() -> None:
    with pytest.raises(CliError, match="no port 65536"):
        configured(None, listen="127.0.0.1:65536")
    assert configured(None, listen="127.0.0.1:65535").server.listen == "127.0.0.1:65535"
