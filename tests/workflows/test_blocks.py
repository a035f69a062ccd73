"""Our blocks by Prefect's own suite, and by name from config."""

from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import ValidationError

from amends.settings import Settings
from amends.workflows.blocks import BLOCKS, AmendsLogin, AmendsSecret, aread, read_block
from amends.workflows.server import PrefectServer


@pytest.mark.parametrize("block", BLOCKS)
class TestBlocks(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        found: type[Block] = request.param
        return found

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own test fetches it; a test of ours needs no network."""
        assert str(block._logo_url).startswith("https://")


def test_a_value_is_not_shown() -> None:
    block = AmendsSecret(value="swordfish-0017", purpose="a test")
    assert "swordfish-0017" not in repr(block) + str(block.model_dump())
    assert block.get() == "swordfish-0017"
    with pytest.raises(ValidationError, match="the value is empty"):
        AmendsSecret(value=" ")


@pytest.mark.prefect
async def test_config_names_a_block_of_any_of_these_types(server: PrefectServer, tmp_path: Path) -> None:
    await AmendsSecret(value="one").save("amends-one")
    await AmendsLogin(account="app", password="two").save("amends-two")
    await Secret(value="three").save("amends-three")
    assert [await aread(f"amends-{name}") for name in ("one", "two", "three")] == ["one", "two", "three"]
    text = '[approvers.lin]\nchannel = "mail"\nto = { block = "amends-one" }\n'
    (tmp_path / "a.toml").write_text(text)
    assert Settings.load(tmp_path / "a.toml", blocks=read_block).approver_address("lin") == "one"
    with pytest.raises(ValueError, match="no block 'amends-none'"):
        await aread("amends-none")
