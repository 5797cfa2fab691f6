"""What further radii of the target gave, on PostgreSQL in a partition a month like the measurements."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def text(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "radius_measurement",
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("reduction_id", sa.Integer(), nullable=False),
        sa.Column("ccd", text(8), nullable=False),
        sa.Column("aperture", text(16), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("factor", sa.Double(), nullable=False),
        sa.Column("radius", sa.Double(), nullable=True),
        sa.Column("counts", sa.Double(), nullable=True),
        sa.Column("countse", sa.Double(), nullable=True),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("flag", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "night", "reduction_id", "ccd", "aperture", "frame", "factor", name=op.f("pk_radius_measurement")
        ),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (night)",
    )


def downgrade() -> None:
    op.drop_table("radius_measurement")
