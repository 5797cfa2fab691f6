"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "aperture_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aperture_set")),
        sa.UniqueConstraint("digest", name=op.f("uq_aperture_set_digest")),
    )
    op.create_table(
        "measurement",
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("reduction_id", sa.Integer(), nullable=False),
        sa.Column("ccd", sa.String(length=8).with_variant(sa.String(length=8, collation="C"), "postgresql"), nullable=False),
        sa.Column(
            "aperture", sa.String(length=16).with_variant(sa.String(length=16, collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("mjd_int", sa.Integer(), nullable=False),
        sa.Column("mjd_frac", sa.Double(), nullable=True),
        sa.Column("time_ok", sa.Boolean(), nullable=False),
        sa.Column("exposure", sa.Double(), nullable=True),
        sa.Column("mfwhm", sa.Double(), nullable=True),
        sa.Column("mbeta", sa.Double(), nullable=True),
        sa.Column("x", sa.Double(), nullable=True),
        sa.Column("xe", sa.Double(), nullable=True),
        sa.Column("y", sa.Double(), nullable=True),
        sa.Column("ye", sa.Double(), nullable=True),
        sa.Column("fwhm", sa.Double(), nullable=True),
        sa.Column("fwhme", sa.Double(), nullable=True),
        sa.Column("beta", sa.Double(), nullable=True),
        sa.Column("betae", sa.Double(), nullable=True),
        sa.Column("counts", sa.Double(), nullable=True),
        sa.Column("countse", sa.Double(), nullable=True),
        sa.Column("sky", sa.Double(), nullable=True),
        sa.Column("skye", sa.Double(), nullable=True),
        sa.Column("nsky", sa.Integer(), nullable=False),
        sa.Column("nrej", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("flag", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("night", "reduction_id", "ccd", "aperture", "frame", name=op.f("pk_measurement")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "night",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_night")),
        sa.UniqueConstraint("date", name=op.f("uq_night_date")),
    )
    op.create_table(
        "recipe",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("comment", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipe")),
        sa.UniqueConstraint("camera", "name", "version", name=op.f("uq_recipe_camera_name_version")),
    )
    op.create_table(
        "site",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("longitude", sa.Double(), nullable=False),
        sa.Column("latitude", sa.Double(), nullable=False),
        sa.Column("height", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
        sa.UniqueConstraint("name", name=op.f("uq_site_name")),
    )
    op.create_table(
        "aperture",
        sa.Column("aperture_set_id", sa.Integer(), nullable=False),
        sa.Column("ccd", sa.String(length=8), nullable=False),
        sa.Column("label", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("x", sa.Double(), nullable=False),
        sa.Column("y", sa.Double(), nullable=False),
        sa.Column("rtarg", sa.Double(), nullable=False),
        sa.Column("rsky1", sa.Double(), nullable=False),
        sa.Column("rsky2", sa.Double(), nullable=False),
        sa.Column("ref", sa.Boolean(), nullable=False),
        sa.Column("compo", sa.Boolean(), nullable=False),
        sa.Column("mask", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("extra", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["aperture_set_id"], ["aperture_set.id"], name=op.f("fk_aperture_aperture_set_id")),
        sa.PrimaryKeyConstraint("aperture_set_id", "ccd", "label", name=op.f("pk_aperture")),
    )
    op.create_table(
        "instrument",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["site_id"], ["site.id"], name=op.f("fk_instrument_site_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument")),
        sa.UniqueConstraint("name", name=op.f("uq_instrument_name")),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("instrument_id", sa.Integer(), nullable=False),
        sa.Column("night_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=128), nullable=False),
        sa.Column("mode", sa.String(length=64), nullable=False),
        sa.Column("xbin", sa.Integer(), nullable=False),
        sa.Column("ybin", sa.Integer(), nullable=False),
        sa.Column("speed", sa.String(length=64), nullable=False),
        sa.Column("filters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("nskips", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("clear", sa.Boolean(), nullable=True),
        sa.Column("exposure", sa.Double(), nullable=False),
        sa.Column("windows", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("header", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("mjd_first", sa.Double(), nullable=True),
        sa.Column("mjd_last", sa.Double(), nullable=True),
        sa.Column("frames_expected", sa.Integer(), nullable=True),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("bad_times", sa.Integer(), nullable=False),
        sa.Column("problems", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("hints", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("recipe_id", sa.Integer(), nullable=True),
        sa.Column("unsettled", sa.Boolean(), nullable=False),
        sa.Column("waiting", sa.Text(), nullable=True),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grown_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('growing', 'complete', 'failed', 'superseded', 'conflict')", name=op.f("ck_run_state")),
        sa.ForeignKeyConstraint(["instrument_id"], ["instrument.id"], name=op.f("fk_run_instrument_id")),
        sa.ForeignKeyConstraint(["night_id"], ["night.id"], name=op.f("fk_run_night_id")),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name=op.f("fk_run_recipe_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint(
            "instrument_id", "night_id", "name", "version", name=op.f("uq_run_instrument_id_night_id_name_version")
        ),
    )
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.create_index("ix_run_unsettled", ["unsettled"], unique=False)

    op.create_table(
        "frame",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("ccd", sa.String(length=8).with_variant(sa.String(length=8, collation="C"), "postgresql"), nullable=False),
        sa.Column("mjd_int", sa.Integer(), nullable=False),
        sa.Column("mjd_frac", sa.Double(), nullable=True),
        sa.Column("exposure", sa.Double(), nullable=True),
        sa.Column("time_ok", sa.Boolean(), nullable=False),
        sa.Column("data_ok", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_frame_run_id")),
        sa.PrimaryKeyConstraint("run_id", "number", "ccd", name=op.f("pk_frame")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "raw_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("data_sha256", sa.String(length=64), nullable=True),
        sa.Column("data_start", sa.BigInteger(), nullable=False),
        sa.Column("data_size", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_raw_file_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_file")),
        sa.UniqueConstraint("path", name=op.f("uq_raw_file_path")),
    )
    with op.batch_alter_table("raw_file", schema=None) as batch_op:
        batch_op.create_index("ix_raw_file_run_id", ["run_id"], unique=False)
        batch_op.create_index("ix_raw_file_sha256", ["sha256"], unique=False)

    op.create_table(
        "reduction",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=12), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("recipe_id", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("aperture_set_id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("hints", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("masters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("choices", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("frames_done", sa.Integer(), nullable=False),
        sa.Column("notes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'done', 'failed', 'superseded', 'cancelled')", name=op.f("ck_reduction_state")
        ),
        sa.ForeignKeyConstraint(["aperture_set_id"], ["aperture_set.id"], name=op.f("fk_reduction_aperture_set_id")),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name=op.f("fk_reduction_recipe_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_reduction_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reduction")),
        sa.UniqueConstraint("key", name=op.f("uq_reduction_key")),
        sa.UniqueConstraint("name", name=op.f("uq_reduction_name")),
    )
    with op.batch_alter_table("reduction", schema=None) as batch_op:
        batch_op.create_index("ix_reduction_run_id", ["run_id"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_token", sa.String(length=36), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.String(length=128), nullable=True),
        sa.Column("error", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("result", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("reduction_id", sa.Integer(), nullable=True),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_job_state")
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["job.id"], name=op.f("fk_job_parent_id")),
        sa.ForeignKeyConstraint(["reduction_id"], ["reduction.id"], name=op.f("fk_job_reduction_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_job_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("key", name=op.f("uq_job_key")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index("ix_job_reduction_id", ["reduction_id"], unique=False)
        batch_op.create_index("ix_job_run_id", ["run_id"], unique=False)
        batch_op.create_index("ix_job_state", ["state", "not_before"], unique=False)

    op.create_table(
        "range_done",
        sa.Column("reduction_id", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("state", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("seconds", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(["reduction_id"], ["reduction.id"], name=op.f("fk_range_done_reduction_id")),
        sa.PrimaryKeyConstraint("reduction_id", "first", name=op.f("pk_range_done")),
    )
    op.create_table(
        "job_need",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("needs_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_need_job_id")),
        sa.ForeignKeyConstraint(["needs_id"], ["job.id"], name=op.f("fk_job_need_needs_id")),
        sa.PrimaryKeyConstraint("job_id", "needs_id", name=op.f("pk_job_need")),
    )
    with op.batch_alter_table("job_need", schema=None) as batch_op:
        batch_op.create_index("ix_job_need_needs_id", ["needs_id"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("topic", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("payload", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_outbox_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_sent_at", ["sent_at"], unique=False)

    op.create_table(
        "product",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("reduction_id", sa.Integer(), nullable=True),
        sa.Column("job_id", sa.String(length=36), nullable=True),
        sa.Column("inputs", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("code_version", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('current', 'superseded')", name=op.f("ck_product_state")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_product_job_id")),
        sa.ForeignKeyConstraint(["reduction_id"], ["reduction.id"], name=op.f("fk_product_reduction_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_product_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sa.UniqueConstraint("uri", name=op.f("uq_product_uri")),
    )
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.create_index("ix_product_run_id", ["run_id"], unique=False)

    op.create_table(
        "master",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("instrument_id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=64), nullable=False),
        sa.Column("speed", sa.String(length=64), nullable=False),
        sa.Column("xbin", sa.Integer(), nullable=False),
        sa.Column("ybin", sa.Integer(), nullable=False),
        sa.Column("filters", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("windows", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("exposure", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("mjd", sa.Double(), nullable=False),
        sa.Column("report", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('good', 'bad', 'superseded')", name=op.f("ck_master_state")),
        sa.ForeignKeyConstraint(["instrument_id"], ["instrument.id"], name=op.f("fk_master_instrument_id")),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name=op.f("fk_master_product_id")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_master_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_master")),
    )
    with op.batch_alter_table("master", schema=None) as batch_op:
        batch_op.create_index("ix_master_kind", ["kind", "instrument_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("master", schema=None) as batch_op:
        batch_op.drop_index("ix_master_kind")

    op.drop_table("master")
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.drop_index("ix_product_run_id")

    op.drop_table("product")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index("ix_outbox_sent_at")

    op.drop_table("outbox")
    with op.batch_alter_table("job_need", schema=None) as batch_op:
        batch_op.drop_index("ix_job_need_needs_id")

    op.drop_table("job_need")
    op.drop_table("range_done")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("ix_job_state")
        batch_op.drop_index("ix_job_run_id")
        batch_op.drop_index("ix_job_reduction_id")

    op.drop_table("job")
    with op.batch_alter_table("reduction", schema=None) as batch_op:
        batch_op.drop_index("ix_reduction_run_id")

    op.drop_table("reduction")
    with op.batch_alter_table("raw_file", schema=None) as batch_op:
        batch_op.drop_index("ix_raw_file_sha256")
        batch_op.drop_index("ix_raw_file_run_id")

    op.drop_table("raw_file")
    op.drop_table("frame")
    with op.batch_alter_table("run", schema=None) as batch_op:
        batch_op.drop_index("ix_run_unsettled")

    op.drop_table("run")
    op.drop_table("instrument")
    op.drop_table("aperture")
    op.drop_table("site")
    op.drop_table("recipe")
    op.drop_table("night")
    op.drop_table("measurement")
    op.drop_table("aperture_set")
