"""First schema."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql.sqltypes import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("sentence", sa.String(), nullable=False),
        sa.Column("finding", sa.JSON(), nullable=False),
        sa.Column("ticket_ids", sa.JSON(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=True),
        sa.Column("opened_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("escalated_at", UTCDateTime(), nullable=True),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_at", UTCDateTime(), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("snoozed_at", UTCDateTime(), nullable=True),
        sa.Column("snoozed_until", UTCDateTime(), nullable=True),
        sa.Column("snoozed_customers", sa.Integer(), nullable=False),
        sa.Column("snoozed_escalating", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.create_index("alert_by_pattern", ["pattern_id"], unique=False)
        batch_op.create_index("alert_by_time", ["opened_at", "id"], unique=False)
        batch_op.create_index(
            "alert_open",
            ["topic_id", "rule"],
            unique=True,
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )

    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_table(
        "attempt",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_delivery_id"), ["delivery_id"], unique=False)

    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("audit_by_time", ["at", "id"], unique=False)

    op.create_table(
        "backtest",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("backtest", schema=None) as batch_op:
        batch_op.create_index("backtest_by_time", ["asked_at", "id"], unique=False)

    op.create_table(
        "boilerplate",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("line_hash", sa.String(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "line_hash"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("stream", sa.String(), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "stream"),
    )
    op.create_table(
        "choice",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("subscription_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "subscription_id"),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index("delivery_by_subscription", ["subscription_id", "created_at"], unique=False)
        batch_op.create_index(
            "delivery_due",
            ["next_at"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "edit",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("patterns", sa.JSON(), nullable=False),
        sa.Column("tickets", sa.JSON(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("undoes", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=True),
        sa.Column("pattern_sequence", sa.Integer(), nullable=True),
        sa.Column("owed", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("pattern_id", "pattern_sequence"),
        sa.UniqueConstraint("subject", "sequence"),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("event_by_time", ["at"], unique=False)

    op.create_table(
        "feedback",
        sa.Column("query_id", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("query_id", "ticket_id"),
    )
    op.create_table(
        "guess",
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("shut_until", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("who"),
    )
    op.create_table(
        "hint",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id"),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "messages",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("read_at", UTCDateTime(), nullable=True),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "external_id"),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(
            "messages_due",
            ["source", "created_at"],
            unique=False,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )

    op.create_table(
        "note",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "pattern",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_by", sa.String(), nullable=False),
        sa.Column("phrases", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("founded_at", UTCDateTime(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("last_at", UTCDateTime(), nullable=False),
        sa.Column("tickets", sa.Integer(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.Column("split_from", sa.String(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("touched", sa.Boolean(), nullable=False),
        sa.Column("dissolved", sa.Boolean(), nullable=False),
        sa.Column("vector_count", sa.Integer(), nullable=False),
        sa.Column("vector_sum", sa.LargeBinary(), nullable=False),
        sa.Column("signature_counts", sa.JSON(), nullable=False),
        sa.Column("generic_keys", sa.JSON(), nullable=False),
        sa.Column("anchors", sa.JSON(), nullable=False),
        sa.Column("named_tickets", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("dismissed_at", UTCDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("pattern", schema=None) as batch_op:
        batch_op.create_index("pattern_by_heir", ["merged_into"], unique=False)
        batch_op.create_index("pattern_by_last", ["last_at", "id"], unique=False)

    op.create_table(
        "person",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("is_temporary", sa.Boolean(), nullable=False),
        sa.Column("outside", sa.String(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("disabled_at", UTCDateTime(), nullable=True),
        sa.Column("signed_in_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("outside"),
    )
    op.create_table(
        "placement",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=True),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("runner_up", sa.String(), nullable=True),
        sa.Column("runner_up_score", sa.Float(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("placement", schema=None) as batch_op:
        batch_op.create_index("placement_by_pattern", ["pattern_id", "seq"], unique=False)
        batch_op.create_index("placement_by_ticket", ["ticket_id", "seq"], unique=False)

    op.create_table(
        "query",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("degraded", sa.Boolean(), nullable=False),
        sa.Column("ranker", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("query", schema=None) as batch_op:
        batch_op.create_index("query_by_time", ["at"], unique=False)

    op.create_table(
        "ranker",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("model", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "release",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=True),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("judged_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.create_index("release_by_time", ["at", "id"], unique=False)

    op.create_table(
        "sighting",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("ticket_id", "topic_id"),
    )
    with op.batch_alter_table("sighting", schema=None) as batch_op:
        batch_op.create_index("sighting_by_time", ["at"], unique=False)
        batch_op.create_index("sighting_by_topic", ["topic_id", "at"], unique=False)

    op.create_table(
        "source",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("last_success_at", UTCDateTime(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.Column("last_error_at", UTCDateTime(), nullable=True),
        sa.Column("newest_at", UTCDateTime(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("next_at", UTCDateTime(), nullable=True),
        sa.Column("read_to", UTCDateTime(), nullable=True),
        sa.Column("quota", sa.JSON(), nullable=False),
        sa.Column("silence_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "source_day",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "day"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("old_secret", sa.String(), nullable=False),
        sa.Column("old_secret_until", UTCDateTime(), nullable=True),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("event_types", sa.JSON(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("include_text", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=False),
        sa.Column("failing_since", UTCDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("quiet_until", UTCDateTime(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.create_index("subscription_by_product", ["product"], unique=False)

    op.create_table(
        "suggestion",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=False),
        sa.Column("other_id", sa.String(), nullable=True),
        sa.Column("ticket_ids", sa.JSON(), nullable=False),
        sa.Column("sentence", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.create_index("suggestion_by_pattern", ["pattern_id"], unique=False)

    op.create_table(
        "term",
        sa.Column("table", sa.String(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("documents", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("table", "slot"),
    )
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("updated_at", UTCDateTime(), nullable=False),
        sa.Column("seen_at", UTCDateTime(), nullable=False),
        sa.Column("digested_at", UTCDateTime(), nullable=True),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("requester", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("account_name", sa.String(), nullable=False),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("machine_tags", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("resolution", sa.String(), nullable=False),
        sa.Column("resolved_at", UTCDateTime(), nullable=True),
        sa.Column("articles", sa.JSON(), nullable=False),
        sa.Column("reopened", sa.Boolean(), nullable=True),
        sa.Column("satisfaction", sa.Float(), nullable=True),
        sa.Column("escalated", sa.Boolean(), nullable=True),
        sa.Column("ai_handled", sa.Boolean(), nullable=True),
        sa.Column("duplicate_of", sa.String(), nullable=False),
        sa.Column("problem", sa.String(), nullable=False),
        sa.Column("backfill", sa.Boolean(), nullable=False),
        sa.Column("pattern_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "external_id"),
    )
    with op.batch_alter_table("ticket", schema=None) as batch_op:
        batch_op.create_index("ticket_by_customer", ["customer"], unique=False)
        batch_op.create_index("ticket_by_pattern", ["pattern_id", "created_at"], unique=False)
        batch_op.create_index("ticket_by_revision", ["revision", "id"], unique=False)
        batch_op.create_index("ticket_by_time", ["created_at", "id"], unique=False)
        batch_op.create_index(
            "ticket_undigested",
            ["created_at", "id"],
            unique=False,
            sqlite_where=sa.text("digested_at IS NULL"),
            postgresql_where=sa.text("digested_at IS NULL"),
        )

    op.create_table(
        "topic",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("first_at", UTCDateTime(), nullable=False),
        sa.Column("generic", sa.Boolean(), nullable=False),
        sa.Column("muted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "key"),
    )
    op.create_table(
        "vector",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("vector", schema=None) as batch_op:
        batch_op.create_index("vector_by_text", ["model_id", "text_hash"], unique=False)
        batch_op.create_index("vector_by_ticket", ["ticket_id"], unique=False)

    op.create_table(
        "view",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "web_session",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=True),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("csrf", sa.String(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )


def downgrade() -> None:
    op.drop_table("web_session")
    op.drop_table("view")
    with op.batch_alter_table("vector", schema=None) as batch_op:
        batch_op.drop_index("vector_by_ticket")
        batch_op.drop_index("vector_by_text")

    op.drop_table("vector")
    op.drop_table("topic")
    with op.batch_alter_table("ticket", schema=None) as batch_op:
        batch_op.drop_index(
            "ticket_undigested",
            sqlite_where=sa.text("digested_at IS NULL"),
            postgresql_where=sa.text("digested_at IS NULL"),
        )
        batch_op.drop_index("ticket_by_time")
        batch_op.drop_index("ticket_by_revision")
        batch_op.drop_index("ticket_by_pattern")
        batch_op.drop_index("ticket_by_customer")

    op.drop_table("ticket")
    op.drop_table("term")
    with op.batch_alter_table("suggestion", schema=None) as batch_op:
        batch_op.drop_index("suggestion_by_pattern")

    op.drop_table("suggestion")
    with op.batch_alter_table("subscription", schema=None) as batch_op:
        batch_op.drop_index("subscription_by_product")

    op.drop_table("subscription")
    op.drop_table("source_day")
    op.drop_table("source")
    with op.batch_alter_table("sighting", schema=None) as batch_op:
        batch_op.drop_index("sighting_by_topic")
        batch_op.drop_index("sighting_by_time")

    op.drop_table("sighting")
    with op.batch_alter_table("release", schema=None) as batch_op:
        batch_op.drop_index("release_by_time")

    op.drop_table("release")
    op.drop_table("ranker")
    with op.batch_alter_table("query", schema=None) as batch_op:
        batch_op.drop_index("query_by_time")

    op.drop_table("query")
    with op.batch_alter_table("placement", schema=None) as batch_op:
        batch_op.drop_index("placement_by_ticket")
        batch_op.drop_index("placement_by_pattern")

    op.drop_table("placement")
    op.drop_table("person")
    with op.batch_alter_table("pattern", schema=None) as batch_op:
        batch_op.drop_index("pattern_by_last")
        batch_op.drop_index("pattern_by_heir")

    op.drop_table("pattern")
    op.drop_table("note")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_index(
            "messages_due",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )

    op.drop_table("messages")
    op.drop_table("idempotency")
    op.drop_table("hint")
    op.drop_table("guess")
    op.drop_table("feedback")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index("event_by_time")

    op.drop_table("event")
    op.drop_table("edit")
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.drop_index(
            "delivery_due",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index("delivery_by_subscription")

    op.drop_table("delivery")
    op.drop_table("choice")
    op.drop_table("checkpoint")
    op.drop_table("boilerplate")
    with op.batch_alter_table("backtest", schema=None) as batch_op:
        batch_op.drop_index("backtest_by_time")

    op.drop_table("backtest")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index("audit_by_time")

    op.drop_table("audit")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_delivery_id"))

    op.drop_table("attempt")
    op.drop_table("api_key")
    with op.batch_alter_table("alert", schema=None) as batch_op:
        batch_op.drop_index(
            "alert_open",
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )
        batch_op.drop_index("alert_by_time")
        batch_op.drop_index("alert_by_pattern")

    op.drop_table("alert")
