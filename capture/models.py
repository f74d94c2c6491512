"""The ledger. Rows are written by the recorder alone, in the order of `Call.seq`."""

from __future__ import annotations

from datetime import date

from django.db import models
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint

# The longest x-agentledger-* field: capture.proxy.recorded_headers.MAX_FIELD.
FIELD_LENGTH = 512
# Model names, stop reasons and the like come from bodies; the recorder cuts them to this.
NAME_LENGTH = 255


class SessionQuerySet(models.QuerySet["Session"]):
    def not_deleted(self) -> SessionQuerySet:
        return self.filter(deleted_at=None)


class Session(models.Model):
    """The calls that share a session id, with totals that the recorder keeps up, so that a list of
    sessions never aggregates calls."""

    id = models.BigIntegerField(primary_key=True)  # given by the recorder, rising
    session_id = models.CharField(max_length=FIELD_LENGTH)
    started_at = models.DateTimeField()
    last_call_at = models.DateTimeField()
    call_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0)
    refused_count = models.BigIntegerField(default=0)
    # Sums over the calls whose number is known; null while there is none.
    total_tokens_in = models.BigIntegerField(null=True)
    total_tokens_out = models.BigIntegerField(null=True)
    total_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    total_latency_ms = models.FloatField(null=True)
    # Distinct values, in order of appearance.
    agents = models.JSONField(default=list)
    users = models.JSONField(default=list)
    apps = models.JSONField(default=list)
    environments = models.JSONField(default=list)
    # Grows with each change of its calls: what has been read of them is read again.
    revision = models.BigIntegerField(default=0)
    # Its id, agents, users and labels, one a line, casefolded: where a substring is looked for.
    names = models.TextField(default="")
    # What readers gave it; the recorder leaves them alone.
    labels = models.JSONField(default=list)
    note = models.TextField(null=True)  # noqa: DJ001
    pinned = models.BooleanField(default=False)
    # Set: no reader sees it any more, and the recorder removes it.
    deleted_at = models.DateTimeField(null=True)
    models = models.JSONField(default=list)  # last: from here on it hides the module's name

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [
            Index(
                fields=["-last_call_at", "-id"],
                name="session_newest_first",
                condition=Q(deleted_at=None),
            ),
            Index(
                fields=["deleted_at"],
                name="session_to_be_removed",
                condition=Q(deleted_at__isnull=False),
            ),
        ]
        constraints = [
            # Its calls that come after a deletion make a new one.
            UniqueConstraint(
                fields=["session_id"], condition=Q(deleted_at=None), name="session_id_once"
            )
        ]

    def __str__(self) -> str:
        return self.session_id


class SessionValue(models.Model):
    """What a session's calls have in common with others', for finding sessions by it; `name` is
    that of the filter: agent_name, user_id, app_id, environment, model_id, label."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="values")
    name = models.CharField(max_length=16)
    value = models.CharField(max_length=FIELD_LENGTH)
    pk = models.CompositePrimaryKey("name", "value", "session_id")

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


class CallQuerySet(models.QuerySet["Call"]):
    def not_deleted(self) -> CallQuerySet:
        """Those that readers see: not deleted, nor is their session."""
        return self.filter(deleted_at=None, session__deleted_at=None)


class Call(models.Model):
    """One request to the upstream with its answer: what is filtered, sorted or summed.

    The texts are in CallBody, so that lists read narrow rows.
    """

    action_id = models.UUIDField(primary_key=True, editable=False)
    # The ledger's one total order, given under its lock row.
    seq = models.BigIntegerField(unique=True)
    session = models.ForeignKey(
        Session,
        models.CASCADE,
        null=True,
        related_name="calls",
        db_index=False,  # call_of_session_in_time begins with it
    )
    # Whose messages are stored once: the session's id or, below 0, a key made of what calls
    # without a session have in common.
    scope = models.BigIntegerField()
    timestamp = models.DateTimeField()

    agent_name = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001 (null: unknown)
    user_id = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    app_id = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    # The name of the one that it came with.
    ingest_token = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    environment = models.CharField(max_length=FIELD_LENGTH)
    parent_action_id = models.UUIDField(null=True)
    handoff_from = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    handoff_to = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001

    method = models.CharField(max_length=16)
    path = models.TextField()
    wire_format = models.CharField(max_length=32)
    provider = models.CharField(max_length=64)
    model_id = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    response_model = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    # Of the formats whose answers can be fetched again; `fetch_of` is the first call that it
    # answered, on those that fetch it.
    response_id = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    fetch_of = models.UUIDField(null=True)
    streaming = models.BooleanField()

    outcome = models.CharField(max_length=16)
    status_code = models.IntegerField(null=True)
    stop_reason = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    error_detail = models.TextField(null=True)  # noqa: DJ001
    # Budgets that were spent, but only warn: [{"budget", "key", "spent_usd", "limit_usd"}].
    budget_warning = models.JSONField(null=True)

    tokens_in = models.BigIntegerField(null=True)
    tokens_out = models.BigIntegerField(null=True)
    tokens_cache_read = models.BigIntegerField(null=True)
    tokens_cache_write = models.BigIntegerField(null=True)
    tokens_cache_write_1h = models.BigIntegerField(null=True)
    tokens_reasoning = models.BigIntegerField(null=True)
    tokens_audio_in = models.BigIntegerField(null=True)
    tokens_audio_out = models.BigIntegerField(null=True)
    tokens_image_in = models.BigIntegerField(null=True)
    tokens_image_out = models.BigIntegerField(null=True)
    usage_source = models.CharField(max_length=16)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    # What its cached tokens would have cost more without a cache; below 0 where writing cost more.
    cache_savings_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    price_source = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    service_tier = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001

    # Which try of one logical call this is, by the SDK's own count, and the try before it.
    attempt = models.IntegerField(default=1)
    retry_of = models.UUIDField(null=True)

    latency_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)

    request_bytes = models.BigIntegerField(null=True)
    response_bytes = models.BigIntegerField()
    request_sha256 = models.CharField(max_length=64, null=True)  # noqa: DJ001
    response_sha256 = models.CharField(max_length=64)

    # What lists show without its body: the beginning of what was newly said, and the code of
    # CallBody.refusal.
    preview = models.CharField(max_length=200, null=True)  # noqa: DJ001
    refusal_code = models.CharField(max_length=32, null=True)  # noqa: DJ001

    # Set: no reader sees it any more, and the recorder removes it.
    deleted_at = models.DateTimeField(null=True)

    objects = CallQuerySet.as_manager()

    class Meta:
        indexes = [
            Index(fields=["session", "timestamp", "seq"], name="call_of_session_in_time"),
            Index(fields=["-timestamp"], name="call_newest_first"),
            Index(fields=["scope", "seq"], name="call_of_scope"),
            Index(
                fields=["deleted_at"],
                name="call_to_be_removed",
                condition=Q(deleted_at__isnull=False),
            ),
            Index(
                fields=["timestamp"],
                name="call_with_budget_warning",
                condition=Q(budget_warning__isnull=False, deleted_at=None),
            ),
            Index(
                fields=["response_id"],
                name="call_of_response",
                condition=Q(response_id__isnull=False),
            ),
            Index(
                fields=["parent_action_id"],
                name="call_of_parent",
                condition=Q(parent_action_id__isnull=False),
            ),
        ]
        constraints = [
            CheckConstraint(
                condition=Q(cost_usd__isnull=True) | Q(cost_usd__gte=0),
                name="call_cost_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return str(self.action_id)


class PriceCorrection(models.Model):
    """A call's cost as it was before its price was corrected, and after. Rows are only added."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="price_corrections")
    corrected_at = models.DateTimeField()
    old_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    new_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    old_price_source = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    new_price_source = models.CharField(max_length=NAME_LENGTH)

    def __str__(self) -> str:
        return f"{self.call_id}: {self.old_cost_usd} to {self.new_cost_usd}"


class CallBody(models.Model):
    """What was said in a call. The bytes of its bodies can be had back exactly:
    capture.ledger.compression."""

    call = models.OneToOneField(Call, models.CASCADE, primary_key=True, related_name="body")
    content = models.TextField(null=True)  # noqa: DJ001
    reasoning = models.TextField(null=True)  # noqa: DJ001
    choices = models.JSONField(null=True)  # those after the first
    temperature = models.FloatField(null=True)
    max_tokens = models.BigIntegerField(null=True)
    request_params = models.JSONField(null=True)  # the request's other fields
    usage = models.JSONField(null=True)  # the provider's own object
    # What was counted beside tokens, by unit: Usage.units.
    units = models.JSONField(null=True)
    # USD as text, by part: input, cache_read, cache_write, output, other.
    cost_parts = models.JSONField(null=True)
    # Results of tools whose call is not on record; the others are in ToolCall.
    tool_results = models.JSONField(null=True)
    # Why it never went upstream: {"code", "n_calls", …}; null: it did.
    refusal = models.JSONField(null=True)
    # Both heads as far as they are kept, and what could not be understood.
    heads = models.JSONField()
    notes = models.JSONField(null=True)
    # The text of the system prompt: a Message of kind "prompt".
    prompt_ref = models.BigIntegerField(null=True)
    # The request: references to its parts among the Messages, in order, packed, and its frame: the
    # bytes between the parts or, where they could not be cut out, all of the body.
    part_refs = models.BinaryField()
    frame = models.BinaryField(null=True)
    frame_is_whole = models.BooleanField(default=False)
    frame_encoding = models.SmallIntegerField(default=0)  # texts.Encoding
    response = models.BinaryField()
    response_encoding = models.SmallIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.call_id)


class Message(models.Model):
    """A part of request bodies that is stored once in its scope, as the exact bytes that came: a
    message of the history, a system prompt, the tool definitions. Kind "prompt" is the system
    prompt's text, wherever in the body it stood."""

    id = models.BigIntegerField(primary_key=True)  # given by the recorder, rising
    scope = models.BigIntegerField()
    digest = models.BinaryField()  # first 16 bytes of the SHA-256 of kind and bytes
    kind = models.CharField(max_length=8)  # message | system | tools | prompt
    # The call that brought it first; of those that are left, where that one was deleted.
    action_id = models.UUIDField()
    data = models.BinaryField()
    encoding = models.SmallIntegerField(default=0)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["scope", "digest"], name="message_once_in_its_scope")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Binary(models.Model):
    """An image, a sound or a file that calls of one scope brought: stored once, however often. The
    texts that refer to it name its digest: capture.wire.binaries.references."""

    scope = models.BigIntegerField()  # as of Message
    digest = models.BinaryField()  # SHA-256 of its bytes
    media_type = models.CharField(max_length=NAME_LENGTH)
    size_bytes = models.BigIntegerField()
    # Of images that can be read.
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    thumbnail = models.BinaryField(null=True)  # WebP: capture.parsing.thumbnails
    # The bytes themselves; null unless they were to be kept.
    data = models.BinaryField(null=True)
    # The call that brought it first.
    action_id = models.UUIDField()

    class Meta:
        verbose_name_plural = "binaries"
        constraints = [
            UniqueConstraint(fields=["scope", "digest"], name="binary_once_in_its_scope")
        ]

    def __str__(self) -> str:
        return f"{self.media_type} of {self.size_bytes} bytes"


class ToolCall(models.Model):
    """A tool that the model decided to call, and what it returned once a later call told."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="tool_call_rows")
    scope = models.BigIntegerField()
    position = models.IntegerField()  # within the call, from 0
    tool_call_id = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    name = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    arguments = models.TextField()  # as the model wrote them
    # The result; null while no call has brought it.
    result = models.JSONField(null=True)
    result_is_error = models.BooleanField(null=True)
    result_action_id = models.UUIDField(null=True)

    class Meta:
        indexes = [
            Index(fields=["scope", "tool_call_id"], name="tool_call_by_its_id"),
            Index(
                fields=["result_action_id"],
                name="tool_call_by_its_result",
                condition=Q(result_action_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.tool_call_id}"


class Tombstone(models.Model):
    """What is left of a deleted call: that there was one, and what it said if someone can show it.
    A call that has one is never recorded again."""

    action_id = models.UUIDField(primary_key=True, editable=False)
    seq = models.BigIntegerField(null=True)  # null: it was deleted before it was recorded
    digest = models.CharField(max_length=64)  # capture.operations.deletion.digest
    deleted_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.action_id)


class TakenOver(models.Model):
    """A call that messages of a deleted one passed to. The search index takes the row away once it
    has these messages with this call."""

    call_seq = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "taken over"

    def __str__(self) -> str:
        return f"messages of a deleted call, by call {self.call_seq}"


class DeletedSession(models.Model):
    """A session's calls that began before this time are not to be recorded: they were running, or
    waited in the spool, when it was deleted."""

    digest = models.CharField(max_length=64, primary_key=True)  # SHA-256 of its session id
    deleted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.digest} at {self.deleted_at}"


class StopQuerySet(models.QuerySet["Stop"]):
    def in_force(self) -> StopQuerySet:
        return self.filter(lifted_at=None)


class Stop(models.Model):
    """Calls that operators stopped: all, or those of one session, agent or user."""

    EVERYTHING = "everything"
    SCOPES = (EVERYTHING, "session", "agent", "user")

    scope = models.CharField(max_length=16)
    value = models.CharField(max_length=FIELD_LENGTH)  # the session, agent or user; "" for all
    reason = models.TextField()
    who = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    created_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)  # null: in force

    objects = StopQuerySet.as_manager()

    class Meta:
        constraints = [
            CheckConstraint(
                condition=Q(scope="everything", value="") | (~Q(scope="everything") & ~Q(value="")),
                name="stop_says_whose_calls",
            ),
            UniqueConstraint(
                fields=["scope", "value"],
                condition=Q(lifted_at=None),
                name="stop_in_force_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.value}".strip()


class SpendQuerySet(models.QuerySet["Spend"]):
    def of(self, budget: str, key: str | None, day: date | None) -> SpendQuerySet:
        """One row or none. `key` is None for all calls, `day` for all days."""
        return self.filter(budget=budget, key=key or "", day=day or Spend.ALL_DAYS)


class Spend(models.Model):
    """What was spent of a budget: capture.ledger.spend."""

    ALL_DAYS = date.min

    budget = models.CharField(max_length=16)  # session | agent | user | token | daily
    key = models.CharField(max_length=FIELD_LENGTH)  # whose; "" of "daily"
    day = models.DateField()  # UTC; ALL_DAYS of a session
    usd = models.DecimalField(max_digits=20, decimal_places=10)

    objects = SpendQuerySet.as_manager()

    class Meta:
        constraints = [
            UniqueConstraint(fields=["budget", "key", "day"], name="spend_once_of_a_budget")
        ]

    def __str__(self) -> str:
        return f"{self.budget} {self.key}".strip()


class RollupKey(models.Model):
    """What rollups are told apart by: the names of calls, or a user. Given once, never changed."""

    id = models.BigIntegerField(primary_key=True)  # given by the recorder, rising
    digest = models.BinaryField(unique=True)  # of all the rest
    # Whose calls exceeded what one hour or day tells apart; it has no names then.
    is_other = models.BooleanField(default=False)
    model_id = models.CharField(max_length=NAME_LENGTH, null=True)  # noqa: DJ001
    provider = models.CharField(max_length=64, null=True)  # noqa: DJ001
    agent_name = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    app_id = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    environment = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001
    user_id = models.CharField(max_length=FIELD_LENGTH, null=True)  # noqa: DJ001

    def __str__(self) -> str:
        return f"rollup key {self.pk}"


class Rollup(models.Model):
    """Sums over the calls of one hour or one day, UTC: capture.ledger.rollups. What is known of no
    call is null."""

    id = models.BigIntegerField(primary_key=True)  # capture.ledger.rollup_sums.row_id
    hour = models.IntegerField()  # since 1970; of a day its first
    # Keys are never deleted: to check each one would cost PostgreSQL more than the row.
    key = models.ForeignKey(
        RollupKey, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    call_count = models.BigIntegerField()
    error_count = models.BigIntegerField()
    refused_count = models.BigIntegerField()
    tokens_in = models.BigIntegerField(null=True)
    tokens_out = models.BigIntegerField(null=True)
    tokens_cache_read = models.BigIntegerField(null=True)
    tokens_cache_write = models.BigIntegerField(null=True)
    tokens_reasoning = models.BigIntegerField(null=True)
    # In units of 1e-10 USD: SQLite adds nothing exactly but integers.
    cost = models.BigIntegerField(null=True)
    cost_unknown_calls = models.BigIntegerField()
    cache_savings = models.BigIntegerField(null=True)
    # Of the calls that were not refused: capture.ledger.histogram.
    latency = models.BinaryField()
    ttft = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.call_count} calls from hour {self.hour} on"


class Ledger(models.Model):
    """The one row whose lock makes recorders take turns; the last numbers given."""

    last_seq = models.BigIntegerField(default=0)
    last_message_id = models.BigIntegerField(default=0)
    last_session_id = models.BigIntegerField(default=0)
    last_rollup_key_id = models.BigIntegerField(default=0)
    # How often messages were removed from scopes that go on: what recorders remember is past.
    n_removals = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"ledger at {self.last_seq}"


class SpoolPosition(models.Model):
    """Where the recorder goes on in a segment of a spool, committed with the calls before it."""

    segment = models.CharField(max_length=NAME_LENGTH, primary_key=True)
    offset = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.segment} at {self.offset}"
