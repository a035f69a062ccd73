"""Runs migrations on the connection that the ledger hands over."""

from alembic import context

from amends.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
context.run_migrations()
