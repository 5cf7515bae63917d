"""Where a ticket was filed counts in grouping: kept with its vector, and room for it in the patterns' sums.

Tickets grouped before keep being compared by their text alone, which is what zeros say.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROOM = 64 * 8  # bytes of as many float64


def upgrade() -> None:
    op.add_column("vector", sa.Column("filed_under", sa.String(), nullable=False, server_default=""))
    _resize(lambda vector_sum: vector_sum + bytes(ROOM))


def downgrade() -> None:
    _resize(lambda vector_sum: vector_sum[:-ROOM])
    op.drop_column("vector", "filed_under")


def _resize(change: Callable[[bytes], bytes]) -> None:
    patterns = sa.table(
        "pattern", sa.column("id"), sa.column("vector_sum", sa.LargeBinary), sa.column("anchors", sa.JSON)
    )
    connection = op.get_bind()
    for id_, vector_sum, anchors in connection.execute(sa.select(patterns)).all():
        for anchor in anchors or ():
            anchor["vector_sum"] = b64encode(change(b64decode(anchor["vector_sum"]))).decode()
        changed = {"vector_sum": change(bytes(vector_sum)) if vector_sum else vector_sum, "anchors": anchors}
        connection.execute(sa.update(patterns).where(patterns.c.id == id_).values(changed))
