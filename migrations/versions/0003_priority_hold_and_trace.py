"""Priority of a run, a hold on it, and the trace that its jobs share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

URGENT = sa.text("state = 'queued' AND priority > 0")


def text(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("run", sa.Column("priority", text(64), nullable=True))
    op.add_column("run", sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("run", sa.Column("trace", text(32), nullable=True))
    op.add_column("job", sa.Column("trace", text(32), nullable=True))
    op.create_index("ix_job_urgent", "job", ["priority"], postgresql_where=URGENT, sqlite_where=URGENT)


def downgrade() -> None:
    op.drop_index("ix_job_urgent", "job")
    op.drop_column("job", "trace")
    op.drop_column("run", "trace")
    op.drop_column("run", "held")
    op.drop_column("run", "priority")
