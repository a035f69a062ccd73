"""A merchant's configuration: layers, what is refused and how it is said, secrets, the ledger's key."""

from __future__ import annotations

import pickle
import stat
from pathlib import Path

import pytest
from pydantic import BaseModel

from amends.cases.money import Money
from amends.cases.playbook import Approvals, Playbook, Storm
from amends.cases.rules import Rule
from amends.errors import ConfigError
from amends.settings import (
    SecretRef,
    Settings,
    write_starter,
)
from amends.settings.cron import check_cron
from amends.settings.models import Approvals as Asking
from amends.settings.models import Approver, Caps, Inbox, Ledger, Plugins, Rules, Shop
from amends.settings.starter import starter_files

ROOT = Path(__file__).resolve().parents[2]
SHOP = '[shops.flagship]\nconnector = "corner"\ntime_zone = "Asia/Shanghai"\n'


def write(folder: Path, **files: str) -> Path:
    """A config folder; `base_shops="…"` becomes `base/shops.toml`."""
    for name, text in files.items():
        layer, _, stem = name.partition("_")
        path = folder / "config" / layer / f"{stem}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "config"


def load(folder: Path, text: str, **env: str) -> Settings:
    return Settings.load(write(folder, base_shops=text), env=env)


def lines(folder: Path, text: str) -> list[str]:
    """What is said of that file, one entry for each problem, without the file's own folder."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [str(p).replace(f"{folder}/config/", "") for p in caught.value.context["problems"]]


# Layers --------------------------------------------------------------------------------------------


def test_local_wins_and_the_rest_of_a_table_stays(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        base_shops=SHOP + 'language = "en"\nholds = ["settle", "escalate"]',
        local_mine='[shops.flagship]\nlanguage = "zh"\nholds = ["settle"]\n'
        '[shops.second]\nconnector = "x"\ntime_zone = "UTC"',
    )
    settings = Settings.load(config)
    shop = settings.shop("flagship")
    assert (shop.name, shop.language, shop.connector, shop.holds) == ("flagship", "zh", "corner", ("settle",))
    assert sorted(settings.shops) == ["flagship", "second"]


def test_a_problem_names_the_file_that_the_key_came_from(tmp_path: Path) -> None:
    config = write(tmp_path, base_shops=SHOP, local_mine='[shops.flagship]\nschedule = "often"')
    with pytest.raises(
        ConfigError, match=r"local/mine\.toml: shops\.flagship\.schedule: 'often' has 1 fields"
    ):
        Settings.load(config)


def test_a_place_of_a_secret_replaces_another_one_whole(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        base_a='[ledger]\nurl = { env = "A" }\n',
        local_a='[ledger]\nurl = { file = "address.txt" }\n',
    )
    (config / "address.txt").write_text("postgresql://u:p@host/amends\n")
    assert Settings.load(config).ledger_url == "postgresql://u:p@host/amends"


def test_a_key_set_twice_in_one_layer_is_refused(tmp_path: Path) -> None:
    config = write(tmp_path, base_a=SHOP + 'policy = "a"', base_b='[shops.flagship]\npolicy = "b"')
    with pytest.raises(ConfigError, match=r"b\.toml: shops\.flagship\.policy: is already set in .*a\.toml"):
        Settings.load(config)


def test_a_single_file_will_do(tmp_path: Path) -> None:
    file = tmp_path / "amends.toml"
    file.write_text("\ufeff" + SHOP, encoding="utf-8")
    settings = Settings.load(file)
    assert settings.shop("flagship").time_zone == "Asia/Shanghai"
    assert settings.state_dir == tmp_path / "state"


def test_the_place_comes_from_argument_then_environment_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write(tmp_path / "here", base_s=SHOP)
    there = write(tmp_path / "there", base_s=SHOP)
    monkeypatch.chdir(here.parent)
    assert Settings.load(env={}).path == here
    assert Settings.load(env={"AMENDS_CONFIG": str(there)}).path == there
    assert Settings.load("config", env={"AMENDS_CONFIG": str(there)}).path == here
    with pytest.raises(ConfigError, match="AMENDS_CONFIG must be an absolute path"):
        Settings.load(env={"AMENDS_CONFIG": "config"})


def test_no_configuration_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration at") as caught:
        Settings.load(tmp_path / "nowhere")
    assert "amends init" in caught.value.hint
    with pytest.raises(ConfigError, match="neither base/ nor local/"):
        Settings.load(tmp_path)


def test_a_file_that_is_no_toml_names_the_line(tmp_path: Path) -> None:
    assert lines(tmp_path, "[shops\n")[0].startswith("base/shops.toml: ")
    assert "line 1" in lines(tmp_path, "[shops\n")[0]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    text = """
[shops.flagship]
conector = "corner"
time_zone = "Asia/Shangai"
holds = ["setle"]
[playbooks.standard]
silence = "acepted"
[caps]
per_order = ["30 CNY", "many"]
[shop.x]
"""
    assert lines(tmp_path, text) == [
        "base/shops.toml: shops.flagship.connector: is missing; add this key",
        "base/shops.toml: shops.flagship.time_zone: 'Asia/Shangai' is not an IANA time zone such as "
        "'Asia/Shanghai' or 'Europe/Berlin'",
        'base/shops.toml: shops.flagship.holds[1]: "setle" is not possible here; did you mean "settle"?',
        'base/shops.toml: shops.flagship.conector: unknown key; did you mean "connector"?',
        "base/shops.toml: playbooks.standard.silence: "
        '"acepted" is not possible here; did you mean "accepted"?',
        "base/shops.toml: caps.per_order[2]: 'many' is not an amount with a currency such as '12.30 CNY'",
        'base/shops.toml: shop: unknown key; did you mean "shops"?',
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('playbook = "standrd"', 'there is no playbook "standrd"; did you mean "standard"?'),
        ('language = "Chinese"', "'Chinese' is not a language code such as 'zh', 'en' or 'pt-BR'"),
        ('schedule = "* 25 * * *"', "'25' is no hour of a schedule; it goes from 0 to 23"),
        ("connector_config = 1", "should be a valid dictionary, and this is a number"),
    ],
)
def test_a_wrong_value_of_a_shop(tmp_path: Path, text: str, said: str) -> None:
    key = text.partition(" ")[0]
    assert lines(tmp_path, SHOP + text) == [f"base/shops.toml: shops.flagship.{key}: {said}"]


def test_a_wrong_shop_name(tmp_path: Path) -> None:
    text = '[shops."a/b"]\nconnector = "x"\ntime_zone = "UTC"'
    assert lines(tmp_path, text) == [
        'base/shops.toml: shops."a/b": is no name for a shop; use letters, digits, - and _'
    ]


def test_an_unknown_shop_lists_those_there_are(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP)
    with pytest.raises(ConfigError, match='no shop "flagshp"; did you mean "flagship"') as caught:
        settings.shop("flagshp")
    assert "flagship" in caught.value.hint
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  # our own bytes


def test_defaults_need_no_file() -> None:
    settings = Settings()
    assert settings.playbook("standard") == Playbook()
    with pytest.raises(ConfigError, match=r"add a table \[shops\.NAME\]"):
        settings.shop("any")


def test_a_shop_may_have_channels_of_its_own(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP + 'channels = ["platform", "mail"]')
    assert settings.playbook("standard").channels == ("platform",)
    assert settings.playbook_of("flagship").channels == ("platform", "mail")


@pytest.mark.parametrize(
    "good", ["*/10 8-22 * * *", "0 0 1,15 * mon-fri", "5  4 * jan,mar *", "0-30/5 * * * 7"]
)
def test_schedules(good: str) -> None:
    assert check_cron(good) == " ".join(good.split())


@pytest.mark.parametrize(
    "bad", ["", "* * * *", "60 * * * *", "*/0 * * * *", "9-5 * * * *", "a * * * *", "@daily"]
)
def test_schedules_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        check_cron(bad)


# Caps ----------------------------------------------------------------------------------------------


def test_caps_take_one_amount_or_one_for_each_currency() -> None:
    caps = Caps.model_validate({"per_order": "30 CNY", "per_shop_day": ["200 CNY", "30 USD"]})
    assert caps.limit("per_order", "CNY") == Money.of(30, "CNY")
    assert caps.limit("per_shop_day", "USD") == Money.of(30, "USD")
    assert caps.limit("per_customer_month", "CNY") is None


def test_a_cap_in_another_currency_only_allows_nothing() -> None:
    assert Caps.model_validate({"per_order": "30 CNY"}).limit("per_order", "USD") == Money.zero("USD")


def test_a_cap_twice_in_one_currency_is_refused(tmp_path: Path) -> None:
    assert lines(tmp_path, '[caps]\nper_order = ["1 CNY", "2 CNY"]') == [
        "base/shops.toml: caps.per_order: two amounts have the same currency"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '[approvers.lin]\n[approvals]\nthen = ["lim"]',
            'approvals.then[1]: there is no approver "lim"; did you mean "lin"?',
        ),
        (
            SHOP + '[approvals]\nhold_after = "24h"',
            "approvals.hold_after: is never reached: a list is good for 1d only",
        ),
        ('[approvals]\nremind_after = "0h"', "approvals.remind_after: must be longer than nothing"),
        ('[approvers."lin, wang"]', 'approvers."lin, wang": is no name for a person'),
    ],
    ids=["name", "hold", "nothing", "comma"],
)
def test_approvals_that_cannot_work(tmp_path: Path, text: str, told: str) -> None:
    assert told in lines(tmp_path, text)[0]


def test_an_approvers_code_is_never_written_out(tmp_path: Path) -> None:
    found = lines(tmp_path, '[approvers.lin]\nchannel = "mail"\nto = "lin@example.com"\ncode = "1234"')
    assert found[0].startswith("base/shops.toml: approvers.lin.code: is a secret written out")
    assert "1234" not in found[0]
    settings = load(
        tmp_path, '[approvers.lin]\nchannel = "mail"\nto = { env = "LIN" }', LIN="lin@example.com"
    )
    assert settings.approver_address("lin") == "lin@example.com"
    assert settings.approver("lin").to == SecretRef(env="LIN")


# The ledger's place and key ------------------------------------------------------------------------


def test_the_ledger_lies_beside_the_config_folder(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP)
    assert settings.ledger_url == f"sqlite:///{tmp_path}/state/amends.db"
    assert load(tmp_path, '[ledger]\nurl = "sqlite:///x/y.db"').ledger_url == f"sqlite:///{tmp_path}/x/y.db"
    assert load(tmp_path, '[ledger]\nfolder = "/srv/amends"').state_dir == Path("/srv/amends")


@pytest.mark.parametrize("url", ["mysql://host/db", "postgresql://user:password@host/db"])
def test_an_address_that_will_not_do(tmp_path: Path, url: str) -> None:
    found = lines(tmp_path, f'[ledger]\nurl = "{url}"')
    assert len(found) == 1 and "ledger.url" in found[0]
    assert "password@" not in found[0]


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP)
    key = settings.ledger_key()
    file = tmp_path / "state" / "amends.key"
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert load(tmp_path, SHOP).ledger_key() == key
    assert sorted(path.name for path in file.parent.iterdir()) == [".gitignore", "amends.key"]


def test_no_new_key_is_made_for_a_ledger_that_exists(tmp_path: Path) -> None:
    settings = load(tmp_path, SHOP)
    settings.prepare_state()
    (settings.state_dir / "amends.db").write_bytes(b"SQLite")
    with pytest.raises(ConfigError, match=r"amends\.key is gone") as caught:
        settings.ledger_key()
    assert "backup" in caught.value.hint


@pytest.mark.parametrize("text", ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "00" * 32])
def test_a_key_from_the_environment(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, '[ledger]\nkey = { env = "K" }', K=text).ledger_key() == bytes(32)


@pytest.mark.parametrize("text", ["short", "%%%", "AAAA", "zz" * 32])
def test_a_key_that_is_none_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    settings = load(tmp_path, '[ledger]\nkey = { env = "K" }', K=text)
    with pytest.raises(
        ConfigError, match=r"ledger\.key: environment variable K holds no key of 32 bytes"
    ) as caught:
        settings.ledger_key()
    assert text not in str(caught.value).replace("environment", "")


# The starter and its description -------------------------------------------------------------------


def test_the_starter_is_the_projects_config() -> None:
    folder = ROOT / "config"
    ours = {
        str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()
    }
    assert {name: text for name, text in ours.items() if not name.startswith("local/")} == starter_files()


def test_the_starter_loads_as_written(tmp_path: Path) -> None:
    written = write_starter(tmp_path)
    assert tmp_path / "config" / "README.md" in written
    settings = Settings.load(tmp_path / "config", env={})
    assert settings.shop("demo-shop").connector == "sandbox"
    with pytest.raises(ConfigError, match="already exists; nothing was written"):
        write_starter(tmp_path)


MODELS = [
    Settings,
    Shop,
    Playbook,
    Storm,
    Approvals,
    Asking,
    Caps,
    Approver,
    Rules,
    Rule,
    Ledger,
    Plugins,
    Inbox,
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    shown = {
        "shops",
        "playbooks",
        "policies",
        "channels",
        "approvers",
        "approvals",
        "caps",
        "rules",
        "ledger",
        "plugins",
        "inbox",
    }
    for name in model.model_fields:
        assert f"`{name}`" in text or (model is Settings and name in shown and f"`[{name}" in text), name
