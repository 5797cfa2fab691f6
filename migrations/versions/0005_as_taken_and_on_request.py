"""Numbers of each run as taken, and runs of an archive that are reduced on request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LOST = "UPDATE run SET frames_missing = frames_expected - frames WHERE state = 'complete' AND frames_expected > frames"


def upgrade() -> None:
    # of runs that are registered already, what was dropped before the last frame is told when they are read again
    op.add_column("run", sa.Column("frames_dropped", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("run", sa.Column("frames_missing", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("run", sa.Column("on_request", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(LOST)


def downgrade() -> None:
    op.drop_column("run", "on_request")
    op.drop_column("run", "frames_missing")
    op.drop_column("run", "frames_dropped")
