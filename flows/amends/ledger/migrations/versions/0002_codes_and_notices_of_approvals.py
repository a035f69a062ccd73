"""codes and notices of approvals"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("approval_lists", schema=None) as batch_op:
        batch_op.add_column(sa.Column("round", sa.Integer(), server_default="1", nullable=False))
        batch_op.add_column(sa.Column("problem", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "approval_codes",
        sa.Column("list_id", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="0", nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("wrong", sa.Integer(), server_default="0", nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["list_id"], ["approval_lists.id"], name=op.f("fk_approval_codes_list_id")),
        sa.PrimaryKeyConstraint("list_id", "person", name=op.f("pk_approval_codes")),
    )
    op.create_table(
        "approval_notices",
        sa.Column("list_id", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("shop", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["approval_lists.id"], name=op.f("fk_approval_notices_list_id")),
        sa.PrimaryKeyConstraint("list_id", "person", "kind", "number", name=op.f("pk_approval_notices")),
    )
    with op.batch_alter_table("approval_notices", schema=None) as batch_op:
        batch_op.create_index(
            "ix_approval_notices_waiting",
            ["shop"],
            unique=False,
            sqlite_where=sa.text("state IN ('planned', 'failed')"),
            postgresql_where=sa.text("state IN ('planned', 'failed')"),
        )
    # Codes and rounds of asking lay here; who is still asked gets a new code.
    op.execute("DELETE FROM meta WHERE key LIKE 'code:%' OR key LIKE 'asked:%'")


def downgrade() -> None:
    raise NotImplementedError("a ledger is never downgraded: restore the backup taken before the upgrade")
