"""People say which release a pattern came with."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pattern", sa.Column("came_with", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("pattern", "came_with")
