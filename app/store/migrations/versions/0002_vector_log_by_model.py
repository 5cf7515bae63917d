"""The end of one model's vector log, and what comes after a place in it, are read from an index."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("vector_by_model", "vector", ["model_id", "seq"])


def downgrade() -> None:
    op.drop_index("vector_by_model", table_name="vector")
