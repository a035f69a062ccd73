"""The case database: the truth about every case. SQLAlchemy Core, SQLite by default, Postgres for several workers."""

from amends.ledger.database import Ledger, Tx
from amends.ledger.vault import Vault

__all__ = ["Ledger", "Tx", "Vault"]
