"""What is read at every step is read from an index: one model's vector log, one endpoint's due deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_index("vector_by_model", "vector", ["model_id", "seq"])
    _due(["subscription_id", "next_at", "id"])


def downgrade() -> None:
    _due(["next_at"])
    op.drop_index("vector_by_model", table_name="vector")


def _due(columns: list[str]) -> None:
    op.drop_index("delivery_due", table_name="delivery")
    op.create_index("delivery_due", "delivery", columns, sqlite_where=PENDING, postgresql_where=PENDING)
