"""Sessions, their calls, and the texts of these."""

from __future__ import annotations

from django.db import models
from django.db.models import CheckConstraint, Index, Q, UniqueConstraint

from capture.models.fields import FIELD_LENGTH, NAME_LENGTH, VISIBLE, is_set


class SessionQuerySet(models.QuerySet["Session"]):
    def not_deleted(self) -> SessionQuerySet:
        return self.filter(deleted_at=None)


class Session(models.Model):
    """The calls that share a session id, with totals, so that a list need not aggregate calls."""

    id = models.BigIntegerField(primary_key=True)  # assigned by the recorder, ascending
    session_id = models.CharField(max_length=FIELD_LENGTH)
    started_at = models.DateTimeField()
    last_call_at = models.DateTimeField()
    call_count = models.BigIntegerField(default=0)
    error_count = models.BigIntegerField(default=0)
    refused_count = models.BigIntegerField(default=0)
    # Sums over the calls that have a known value; null if there is none.
    total_tokens_in = models.BigIntegerField(null=True)
    total_tokens_out = models.BigIntegerField(null=True)
    total_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    total_latency_ms = models.FloatField(null=True)
    # Distinct values, in order of appearance.
    agents = models.JSONField(default=list)
    users = models.JSONField(default=list)
    apps = models.JSONField(default=list)
    environments = models.JSONField(default=list)
    # Grows with each change of its calls, so that readers know that what they read is outdated.
    revision = models.BigIntegerField(default=0)
    # Its id, agents, users and labels, one a line, casefolded, for substring search.
    names = models.TextField(default="")
    # Annotations by readers, which the recorder does not change.
    labels = models.JSONField(default=list)
    note = models.TextField(null=True)
    pinned = models.BooleanField(default=False)
    n_logged = models.BigIntegerField(default=0)  # calls that the log has had of it
    # If set, readers do not see it any more, and the recorder is about to remove it.
    deleted_at = models.DateTimeField(null=True)
    deletion_index = models.BigIntegerField(null=True)  # of the log's entry on its deletion
    models = models.JSONField(default=list)  # last: from here on it hides the module's name

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [
            Index(fields=["-last_call_at", "-id"], name="session_newest_first", condition=VISIBLE),
            Index(
                fields=["deleted_at"], name="session_to_be_removed", condition=is_set("deleted_at")
            ),
        ]
        constraints = [
            # Calls that come after a session was deleted make a new one.
            UniqueConstraint(fields=["session_id"], condition=VISIBLE, name="session_id_once")
        ]

    def __str__(self) -> str:
        return self.session_id


class SessionValue(models.Model):
    """A value by which a session can be found; `name` is that of the filter, such as agent_name."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="values")
    name = models.CharField(max_length=16)
    value = models.CharField(max_length=FIELD_LENGTH)
    pk = models.CompositePrimaryKey("name", "value", "session_id")

    def __str__(self) -> str:
        return f"{self.name} {self.value}"


class CallQuerySet(models.QuerySet["Call"]):
    def not_deleted(self) -> CallQuerySet:
        """Returns the calls that readers see: neither they nor their sessions are deleted."""
        return self.filter(deleted_at=None, session__deleted_at=None)

    def in_session(self, pk: int) -> CallQuerySet:
        """Returns the calls that readers see of the session with this key, which is not deleted."""
        return self.filter(session_id=pk, deleted_at=None)


class Call(models.Model):
    """One request to the upstream with its response: the columns to filter, sort or sum by. The
    texts are in CallBody, so that lists read narrow rows."""

    action_id = models.UUIDField(primary_key=True, editable=False)
    # The total order of the ledger, assigned under the lock of its row.
    seq = models.BigIntegerField(unique=True)
    # Without an index of its own: call_of_session_in_time begins with it.
    session = models.ForeignKey(
        Session, models.CASCADE, null=True, related_name="calls", db_index=False
    )
    # Messages are stored once in a scope, which is the session's id or below 0: ledger.scopes.
    scope = models.BigIntegerField()
    timestamp = models.DateTimeField()

    agent_name = models.CharField(max_length=FIELD_LENGTH, null=True)
    user_id = models.CharField(max_length=FIELD_LENGTH, null=True)
    app_id = models.CharField(max_length=FIELD_LENGTH, null=True)
    ingest_token = models.CharField(max_length=NAME_LENGTH, null=True)  # its name
    environment = models.CharField(max_length=FIELD_LENGTH)
    parent_action_id = models.UUIDField(null=True)
    handoff_from = models.CharField(max_length=FIELD_LENGTH, null=True)
    handoff_to = models.CharField(max_length=FIELD_LENGTH, null=True)

    method = models.CharField(max_length=16)
    path = models.TextField()
    wire_format = models.CharField(max_length=32)
    provider = models.CharField(max_length=64)
    model_id = models.CharField(max_length=NAME_LENGTH, null=True)
    response_model = models.CharField(max_length=NAME_LENGTH, null=True)
    # Set if the provider stores it. On calls that fetch it, `fetch_of` is the call that created it.
    response_id = models.CharField(max_length=NAME_LENGTH, null=True)
    fetch_of = models.UUIDField(null=True)
    streaming = models.BooleanField()

    outcome = models.CharField(max_length=16)
    status_code = models.IntegerField(null=True)
    stop_reason = models.CharField(max_length=NAME_LENGTH, null=True)
    error_detail = models.TextField(null=True)
    # Budgets that were spent but only warn: [{"budget", "key", "spent_usd", "limit_usd"}].
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
    # USD that the provider's cache saved; below 0 if writing to it cost more than reading saved.
    cache_savings_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    price_source = models.CharField(max_length=NAME_LENGTH, null=True)
    service_tier = models.CharField(max_length=NAME_LENGTH, null=True)

    # The attempt at one logical call, as the SDK counts them, and the attempt before it.
    attempt = models.IntegerField(default=1)
    retry_of = models.UUIDField(null=True)

    latency_ms = models.FloatField(null=True)
    ttft_ms = models.FloatField(null=True)

    request_bytes = models.BigIntegerField(null=True)
    response_bytes = models.BigIntegerField()
    request_sha256 = models.CharField(max_length=64, null=True)
    response_sha256 = models.CharField(max_length=64)

    # Its place in the log, and its number within its session; null: recorded before there was one.
    log_index = models.BigIntegerField(null=True)
    session_call = models.BigIntegerField(null=True)

    # For lists, which do not read the body: the new input's beginning, the code of the refusal.
    preview = models.CharField(max_length=200, null=True)
    refusal_code = models.CharField(max_length=32, null=True)

    deleted_at = models.DateTimeField(null=True)  # as in Session

    objects = CallQuerySet.as_manager()

    class Meta:
        indexes = [
            Index(fields=["session", "timestamp", "seq"], name="call_of_session_in_time"),
            Index(fields=["-timestamp"], name="call_newest_first"),
            Index(fields=["scope", "seq"], name="call_of_scope"),
            Index(fields=["log_index"], name="call_in_the_log"),
            Index(fields=["deleted_at"], name="call_to_be_removed", condition=is_set("deleted_at")),
            Index(
                fields=["timestamp"],
                name="call_with_budget_warning",
                condition=Q(budget_warning__isnull=False, deleted_at=None),
            ),
            Index(fields=["timestamp"], name="call_that_failed", condition=~Q(outcome="completed")),
            Index(
                fields=["timestamp"],
                name="call_with_estimates",
                condition=Q(usage_source="estimated"),
            ),
            Index(fields=["response_id"], name="call_of_response", condition=is_set("response_id")),
            Index(
                fields=["parent_action_id"],
                name="call_of_parent",
                condition=is_set("parent_action_id"),
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
    """The cost of a call before and after its price was corrected. Rows are only added."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="price_corrections")
    corrected_at = models.DateTimeField()
    old_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    new_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    old_price_source = models.CharField(max_length=NAME_LENGTH, null=True)
    new_price_source = models.CharField(max_length=NAME_LENGTH)

    def __str__(self) -> str:
        return f"{self.call_id}: {self.old_cost_usd} to {self.new_cost_usd}"


class CallBody(models.Model):
    """The texts of a call, from which the exact bytes of its bodies can be restored."""

    call = models.OneToOneField(Call, models.CASCADE, primary_key=True, related_name="body")
    content = models.TextField(null=True)
    reasoning = models.TextField(null=True)
    choices = models.JSONField(null=True)  # those after the first
    temperature = models.FloatField(null=True)
    max_tokens = models.BigIntegerField(null=True)
    request_params = models.JSONField(null=True)  # the request's other fields
    usage = models.JSONField(null=True)  # the provider's own object
    units = models.JSONField(null=True)  # counts of other units than tokens: Usage.units
    # USD as text, by part: input, cache_read, cache_write, output, other.
    cost_parts = models.JSONField(null=True)
    # Results of tools whose tool call is not on record; all others are in ToolCall.
    tool_results = models.JSONField(null=True)
    refusal = models.JSONField(null=True)  # {"code", "n_calls", …}; null if it went upstream
    # Both heads, as far as they are recorded, and notes on what could not be parsed.
    heads = models.JSONField()
    notes = models.JSONField(null=True)
    prompt_ref = models.BigIntegerField(null=True)  # the id of a Message of kind "prompt"
    # The request: packed references to its parts among the Messages, in order, and its frame: the
    # bytes between the parts or, if they could not be cut out, the whole body.
    part_refs = models.BinaryField()
    frame = models.BinaryField(null=True)
    frame_is_whole = models.BooleanField(default=False)
    frame_encoding = models.SmallIntegerField(default=0)  # capture.ledger.compression.Encoding
    response = models.BinaryField()
    response_encoding = models.SmallIntegerField(default=0)
    # The secret from which the salts in its record are made: capture.evidence.leaf.
    log_secret = models.BinaryField(null=True)

    def __str__(self) -> str:
        return str(self.call_id)


class Message(models.Model):
    """A part of request bodies, stored once in its scope as it was sent: a message of the history,
    a system prompt, the tool definitions. Kind "prompt" is the text of the system prompt."""

    id = models.BigIntegerField(primary_key=True)  # assigned by the recorder, ascending
    scope = models.BigIntegerField()
    digest = models.BinaryField()  # first 16 bytes of the SHA-256 of kind and bytes
    kind = models.CharField(max_length=8)  # message | system | tools | prompt
    # The first call that brought it, of those that were not removed.
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
    """An image, audio or a file in calls of one scope, stored once. The texts that refer to it have
    its digest: capture.wire.binaries.references."""

    scope = models.BigIntegerField()  # as in Message
    digest = models.BinaryField()  # SHA-256 of its bytes
    media_type = models.CharField(max_length=NAME_LENGTH)
    size_bytes = models.BigIntegerField()
    # Set for images that can be read.
    width = models.IntegerField(null=True)
    height = models.IntegerField(null=True)
    thumbnail = models.BinaryField(null=True)  # WebP: capture.parsing.thumbnails
    data = models.BinaryField(null=True)  # null unless AGENTLEDGER_CAPTURE_BINARY is set
    action_id = models.UUIDField()  # as in Message

    class Meta:
        verbose_name_plural = "binaries"
        constraints = [
            UniqueConstraint(fields=["scope", "digest"], name="binary_once_in_its_scope")
        ]

    def __str__(self) -> str:
        return f"{self.media_type} of {self.size_bytes} bytes"


class ToolCall(models.Model):
    """A tool that the model decided to call, and its result once a later call has brought it."""

    call = models.ForeignKey(Call, models.CASCADE, related_name="tool_call_rows")
    scope = models.BigIntegerField()
    position = models.IntegerField()  # within the call, from 0
    tool_call_id = models.CharField(max_length=NAME_LENGTH, null=True)
    name = models.CharField(max_length=NAME_LENGTH, null=True)
    arguments = models.TextField()  # as the model wrote them
    result = models.JSONField(null=True)  # {"content": …}; null while no call has brought it
    result_is_error = models.BooleanField(null=True)
    result_action_id = models.UUIDField(null=True)

    class Meta:
        indexes = [
            Index(fields=["scope", "tool_call_id"], name="tool_call_by_its_id"),
            Index(fields=["tool_call_id"], name="tool_call_of_any_scope"),
            Index(
                fields=["result_action_id"],
                name="tool_call_by_its_result",
                condition=is_set("result_action_id"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.tool_call_id}"
