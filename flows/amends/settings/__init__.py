"""The merchant's configuration for every room: typed, layered, read once, wrong keys named with their file.

    settings = Settings.load()                       # argument, else AMENDS_CONFIG, else ./config
    shop = settings.shop("flagship")
    config = shop_config(settings, "flagship", registry)

`config/README.md` explains every key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, PrivateAttr, ValidationError

from amends.cases.durations import show_duration
from amends.cases.playbook import Playbook
from amends.errors import ConfigError
from amends.settings import files, keys
from amends.settings.models import (
    Approvals,
    Approver,
    CapName,
    Caps,
    Inbox,
    Ledger,
    OpenTable,
    Plugins,
    Rules,
    Shop,
    Table,
    check_names,
)
from amends.settings.plugged import (
    channel_config,
    check_plugged,
    customer_channel,
    desk_config,
    policy_config,
    rule_book,
    shop_config,
)
from amends.settings.problems import Origins, Problem, config_error, explain, near
from amends.settings.secrets import BlockResolver, SecretMissing, SecretRef, Vault
from amends.settings.starter import write_starter

__all__ = [
    "Approvals",
    "Approver",
    "BlockResolver",
    "CapName",
    "Caps",
    "Inbox",
    "Ledger",
    "OpenTable",
    "Plugins",
    "Problem",
    "Rules",
    "SecretRef",
    "Settings",
    "Shop",
    "channel_config",
    "check_plugged",
    "customer_channel",
    "desk_config",
    "policy_config",
    "rule_book",
    "shop_config",
    "write_starter",
]

_T = TypeVar("_T")


class Settings(Table):
    """Everything that a merchant set. `Settings()` alone is the default of every key, with no shop."""

    shops: dict[str, Shop] = Field(default_factory=dict)
    playbooks: dict[str, Playbook] = Field(default_factory=dict)
    policies: dict[str, OpenTable] = Field(default_factory=dict)
    channels: dict[str, OpenTable] = Field(default_factory=dict)
    approvers: dict[str, Approver] = Field(default_factory=dict)
    approvals: Approvals = Approvals()
    caps: Caps = Caps()
    rules: Rules = Rules()
    ledger: Ledger = Ledger()
    plugins: Plugins = Plugins()
    inbox: Inbox = Inbox()

    _origins: Origins = PrivateAttr(default_factory=Origins)
    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _home: Path = PrivateAttr(default_factory=Path.cwd)
    _path: Path | None = PrivateAttr(default=None)
    _env: Mapping[str, str] = PrivateAttr(default_factory=lambda: os.environ)
    _blocks: BlockResolver | None = PrivateAttr(default=None)

    def model_post_init(self, _context: Any, /) -> None:
        for name, shop in self.shops.items():
            shop._name = name
        self.playbooks.setdefault("standard", Playbook())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        blocks: BlockResolver | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the configuration; raises one `ConfigError` that lists every problem found, a line each."""
        env = os.environ if env is None else env
        read = files.read(files.find(path, env))
        found: Settings | None = None
        problems = list(read.problems)
        try:
            found = cls.model_validate(read.tables)
        except ValidationError as error:
            problems += explain(error, model=cls, raw=read.tables, at=(), origins=read.origins)
        if found is not None:
            found._origins, found._folder, found._home, found._path = (
                read.origins,
                read.folder,
                read.home,
                read.path,
            )
            found._env, found._blocks = env, blocks
            problems += found._crossed()
        if problems or found is None:
            raise config_error(problems)
        return found

    def _crossed(self) -> list[Problem]:
        """What is wrong only between tables: names that nothing bears."""
        found = []
        for name in check_names(self.shops):
            found.append(
                self._origins.problem(
                    ("shops", name), "is no name for a shop", "use letters, digits, - and _"
                )
            )
        for name, shop in self.shops.items():
            if shop.playbook not in self.playbooks:
                what = f'there is no playbook "{shop.playbook}"'
                found.append(
                    self._origins.problem(
                        ("shops", name, "playbook"), what, near(shop.playbook, self.playbooks)
                    )
                )
        return found + self._approvals_crossed()

    def _approvals_crossed(self) -> list[Problem]:
        """Names in `[approvals]` that nobody bears, and times that never come."""
        asked, found = self.approvals, []
        for name in self.approvers:
            if not name.strip() or not name.isprintable() or "," in name:
                found.append(
                    self._origins.problem(("approvers", name), "is no name for a person", "leave commas out")
                )
        for place, name in enumerate(asked.then):
            if name not in self.approvers:
                what = f'there is no approver "{name}"'
                at = ("approvals", "then", place)
                found.append(self._origins.problem(at, what, near(name, self.approvers)))
        used = {shop.playbook for shop in self.shops.values()} & set(self.playbooks)
        shortest = min((self.playbooks[name].approve.within for name in used), default=None)
        for key in ("remind_after", "hold_after"):
            given = getattr(asked, key)
            if given is not None and shortest is not None and given >= shortest:
                what = f"is never reached: a list is good for {show_duration(shortest)} only"
                todo = "choose less, or a longer `approve.within` in the playbook"
                found.append(self._origins.problem(("approvals", key), what, todo))
        return found

    @property
    def path(self) -> Path | None:
        """The folder or file that was read; None for defaults."""
        return self._path

    @property
    def vault(self) -> Vault:
        """Where this configuration's secrets are looked up."""
        return Vault(env=self._env, folder=self._folder, blocks=self._blocks)

    @property
    def origins(self) -> Origins:
        return self._origins

    def shop(self, name: str) -> Shop:
        """That shop; raises `ConfigError` that lists the shops there are."""
        return self._named("shop", "shops", name, self.shops)

    def playbook(self, name: str) -> Playbook:
        """That playbook; `standard` always exists."""
        return self._named("playbook", "playbooks", name, self.playbooks)

    def approver(self, name: str) -> Approver:
        return self._named("approver", "approvers", name, self.approvers)

    def playbook_of(self, shop: str) -> Playbook:
        """The playbook of a shop, with the shop's own channels where it names any."""
        given = self.shop(shop)
        playbook = self.playbook(given.playbook)
        return (
            playbook if given.channels is None else playbook.model_copy(update={"channels": given.channels})
        )

    def _named(self, what: str, table: str, name: str, there: Mapping[str, _T]) -> _T:
        if name in there:
            return there[name]
        todo = near(name, there) if there else f"add a table [{table}.NAME]"
        raise ConfigError(
            f'there is no {what} "{name}"; {todo}',
            hint=f"In [{table}]: {', '.join(sorted(there)) or 'nothing'}.",
        )

    @property
    def state_dir(self) -> Path:
        """The folder of ledger, key and files: `[ledger] folder`, meant from beside `config`."""
        return (self._home / Path(self.ledger.folder).expanduser()).absolute()

    def prepare_state(self) -> Path:
        """The state folder, made where it is missing: mode 0700, kept out of git."""
        return keys.prepare(self.state_dir)

    @property
    def ledger_url(self) -> str:
        """The ledger's address; a SQLite path is made absolute. May hold a password: never show it."""
        given = self.ledger.url
        if isinstance(given, SecretRef):
            given = self.secret(given, ("ledger", "url"))
            if not given.startswith(("sqlite", "postgresql")):
                what = "should begin with sqlite:// or postgresql://"
                raise config_error([self._origins.problem(("ledger", "url"), what)])
        if not given:
            return f"sqlite:///{self.state_dir / 'amends.db'}"
        scheme, _, rest = given.partition(":///")
        if scheme.startswith("sqlite") and rest and rest != ":memory:" and not rest.startswith("/"):
            return f"{scheme}:///{self._home.absolute() / rest}"
        return given

    def ledger_key(self, *, create: bool = True) -> bytes:
        """The 32 bytes that the ledger encrypts with; made on first use where no place is named.

        Raises `ConfigError` where a ledger exists whose key is gone: a new key could never read it.
        """
        if self.ledger.key is not None:
            text = self.secret(self.ledger.key, ("ledger", "key"))
            return keys.parse(text, where=self._origins.problem(("ledger", "key"), str(self.ledger.key)))
        file = self.state_dir / "amends.key"
        url = self.ledger_url
        database = Path(url.partition(":///")[2]) if url.startswith("sqlite") else None
        return keys.read_or_make(file, database=database, create=create)

    def secret(self, ref: SecretRef | str, key: tuple[str | int, ...] = ()) -> str:
        """The text behind a reference (a plain text as it is); `key` is where it stands, for the error."""
        if isinstance(ref, str):
            return ref
        try:
            return self.vault.reveal(ref).get_secret_value()
        except SecretMissing as error:
            raise config_error([self._origins.problem(key, error.what, error.todo)]) from None

    def approver_address(self, name: str) -> str:
        """Where that approver is reached, on their channel."""
        return self.secret(self.approver(name).to, ("approvers", name, "to"))

    @property
    def template_dirs(self) -> tuple[Path, ...]:
        """Folders with the merchant's own templates (`LANG/NAME.j2`), the one that wins first."""
        if self._path is None or not self._path.is_dir():
            return ()
        found = [self._path / layer / "templates" for layer in reversed(files.LAYERS)]
        return tuple(folder for folder in found if folder.is_dir())
