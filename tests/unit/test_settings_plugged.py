"""The parts of a configuration that belong to plugins: secrets filled in, keys checked, wrong ones named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from amends.cases.rules import RuleName
from amends.errors import ConfigError
from amends.hooks.registry import Registry
from amends.hooks.specs import ChannelSpec, ConnectorSpec, PolicySpec
from amends.settings import (
    Settings,
    channel_config,
    check_plugged,
    desk_config,
    policy_config,
    rule_book,
    shop_config,
)

SHOP = '[shops.flagship]\nconnector = "corner"\ntime_zone = "Asia/Shanghai"\n'


def write(folder: Path, text: str) -> Path:
    """A config folder with that one file."""
    path = folder / "config" / "base" / "shops.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder / "config"


def load(folder: Path, text: str, **env: str) -> Settings:
    return Settings.load(write(folder, text), env=env)


class _Deep(BaseModel):
    token: SecretStr | None = None


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid")

    app: str = ""
    secret: SecretStr
    limit: int = 3
    deep: _Deep = _Deep()


class _Rungs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rungs: tuple[dict[str, Any], ...] = ()


def _none(*_: Any) -> Any:
    return None


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry()
    found.connectors["corner"] = ConnectorSpec(name="corner", config=_Config, factory=_none, rules="pdd")
    found.channels["mail"] = ChannelSpec(name="mail", config=_Config, factory=_none)
    found.policies["ladder"] = PolicySpec(name="ladder", config=_Rungs, factory=_none)
    yield found


CONFIG = SHOP + "[shops.flagship.connector_config]\n"


def problems_of(settings: Settings, registry: Registry) -> list[str]:
    return [f"{p.key}: {p.what}; {p.todo}" for p in check_plugged(settings, registry)]


def test_secrets_come_from_environment_file_and_block(tmp_path: Path, registry: Registry) -> None:
    text = (
        CONFIG + 'secret = { env = "KEY" }\napp = { file = "app.txt" }\ndeep = { token = { block = "tok" } }'
    )
    config = write(tmp_path, text)
    (config / "app.txt").write_text("12345\n")
    blocks = {"tok": "t-1"}
    found = shop_config(
        Settings.load(config, env={"KEY": "k-1"}, blocks=blocks.__getitem__), "flagship", registry
    )
    assert isinstance(found, _Config) and found.deep.token is not None
    assert (found.secret.get_secret_value(), found.app, found.deep.token.get_secret_value()) == (
        "k-1",
        "12345",
        "t-1",
    )
    assert "k-1" not in repr(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{ env = "NOPE" }', "environment variable NOPE is not set; set it before amends starts"),
        ('{ env = "EMPTY" }', "environment variable EMPTY is empty; set it before amends starts"),
        ('{ block = "b" }', "block 'b' can only be read inside a Prefect flow; "
                            'run it there, or write { env = "NAME" }'),
        ('"hunter2"', "is a secret written out in a file; "
                      'put it in an environment variable and write { env = "NAME" }'),
    ],
)  # fmt: skip
def test_a_secret_that_is_not_there(tmp_path: Path, registry: Registry, given: str, said: str) -> None:
    settings = load(tmp_path, CONFIG + f"secret = {given}", EMPTY="")
    assert problems_of(settings, registry) == [f"shops.flagship.connector_config.secret: {said}"]


def test_a_missing_secret_file_is_named(tmp_path: Path, registry: Registry) -> None:
    settings = load(tmp_path, CONFIG + 'secret = { file = "nope" }')
    with pytest.raises(ConfigError, match=r"secret: cannot read the secret file .*nope \(No such file"):
        shop_config(settings, "flagship", registry)


def test_a_plugins_keys_are_checked_like_ours(tmp_path: Path, registry: Registry) -> None:
    text = (
        CONFIG
        + 'secrt = { env = "KEY" }\nlimit = "many"\n[shops.flagship.connector_config.deep]\ntoken = "plain"'
    )
    assert problems_of(load(tmp_path, text, KEY="k-1"), registry) == [
        "shops.flagship.connector_config.deep.token: is a secret written out in a file; "
        'put it in an environment variable and write { env = "NAME" }',
        "shops.flagship.connector_config.secret: is missing; add this key",
        "shops.flagship.connector_config.limit: "
        "should be a valid integer, unable to parse string as an integer; ",
        'shops.flagship.connector_config.secrt: unknown key; did you mean "secret"?',
    ]


def test_a_secret_never_shows_in_a_message(tmp_path: Path) -> None:
    class Telling(BaseModel):
        app: str

        @field_validator("app")
        @classmethod
        def _tell(cls, value: str) -> str:
            raise ValueError(f"{value!r} is wrong")

    registry = Registry()
    registry.connectors["corner"] = ConnectorSpec(name="corner", config=Telling, factory=_none)
    settings = load(tmp_path, CONFIG + 'app = { env = "KEY" }', KEY="hunter2")
    with pytest.raises(ConfigError) as caught:
        shop_config(settings, "flagship", registry)
    assert "hunter2" not in str(caught.value)
    assert "***" in str(caught.value)


def test_an_unknown_plugin_is_named_with_its_key(tmp_path: Path, registry: Registry) -> None:
    text = (
        SHOP.replace("corner", "cornr") + 'policy = "lader"\nchannels = ["platform", "mial"]\n'
        '[approvers.lin]\nchannel = "phone"\nto = { env = "LIN" }\n'
    )
    assert problems_of(load(tmp_path, text), registry) == [
        "shops.flagship.connector: no plugin offers the connector 'cornr'; did you mean \"corner\"?",
        "shops.flagship.policy: no plugin offers the policy 'lader'; did you mean \"ladder\"?",
        "shops.flagship.channels: no plugin offers the channel 'mial'; did you mean \"mail\"?",
        "approvers.lin.channel: no plugin offers the channel 'phone'; "
        "Install amends-phone, or choose one of: mail.",
        "approvers.lin.to: environment variable LIN is not set; set it before amends starts",
    ]


def test_a_desk_is_the_connector_unless_another_is_named(tmp_path: Path, registry: Registry) -> None:
    settings = load(tmp_path, CONFIG + 'secret = { env = "KEY" }', KEY="k")
    assert settings.shop("flagship").own_desk
    assert desk_config(settings, "flagship", registry) == shop_config(settings, "flagship", registry)
    other = SHOP + 'desk = "corner"\n[shops.flagship.desk_config]\nsecret = { env = "KEY" }\nlimit = 9\n'
    settings = load(tmp_path, other, KEY="k")
    assert not settings.shop("flagship").own_desk
    assert desk_config(settings, "flagship", registry).model_dump()["limit"] == 9


def test_policies_and_channels_have_tables_of_their_own_name_or_of_a_plugin(
    tmp_path: Path, registry: Registry
) -> None:
    text = (
        SHOP + '[policies.gentle]\nplugin = "ladder"\n[[policies.gentle.rungs]]\nlate_over = "1h"\n'
        '[channels.mail]\nsecret = { env = "KEY" }\nlimt = 1'
    )
    settings = load(tmp_path, text, KEY="k")
    spec, config = policy_config(settings, "gentle", registry)
    assert (spec.name, config.model_dump()) == ("ladder", {"rungs": ({"late_over": "1h"},)})
    spec, config = policy_config(settings, "ladder", registry)
    assert config.model_dump() == {"rungs": ()}
    with pytest.raises(ConfigError, match=r'channels\.mail\.limt: unknown key; did you mean "limit"'):
        channel_config(settings, "mail", registry)


def test_a_merchants_own_rules_win_on_their_platform_only(tmp_path: Path, registry: Registry) -> None:
    text = SHOP + (
        '[[rules.overrides]]\nplatform = "pdd"\nname = "ship-promise"\nkind = "hours"\nvalue = 24\n'
        'source = "us"\nconfidence = "high"\nsince = 2026-01-01\nlead = "4h"\n'
        '[[rules.overrides]]\nplatform = "jd"\nname = "ship-promise"\nkind = "hours"\nvalue = 12\n'
        'source = "us"\nconfidence = "official"\n'
    )
    book = rule_book(load(tmp_path, text), "flagship", registry)
    best = book.best(RuleName.SHIP_PROMISE, on=date(2026, 5, 1))
    assert best is not None and (best.value, best.lead) == (24, timedelta(hours=4))
    assert book.best(RuleName.SHIP_PROMISE, on=date(2025, 5, 1)) is None
