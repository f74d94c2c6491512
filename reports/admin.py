"""Sessions and calls in the admin, where they are found, read and deleted, but never edited."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import now

from access.actors import actor_of
from access.admin_lists import LongList
from capture.exchange import Outcome
from capture.models import Call, RollupKey, Session
from capture.operations.deletion import delete_call, delete_session
from capture.wire import registry
from reports.analysis.message_view import MessageBlock, MessageView, view_message
from reports.api.streaming import stream
from reports.chunks import in_chunks
from reports.export.archive import sessions_archive
from reports.queries import records
from reports.search.find import SearchCriteria, find_hits
from reports.search.query import Query

UNKNOWN = "—"
MAX_EXPORTED = 100  # sessions in one ZIP
MAX_FOUND = 200
MAX_TEXT = 100_000  # characters of one text on a page


# Shown in another form, or of no use to a reader.
NOT_SHOWN = ("session", "scope", "error_detail", "deleted_at")
SHOWN: tuple[str, ...] = (
    *("page", "in_session", "tokens", "cost", "latency", "error_detail", "conversation"),
    *(field.name for field in Call._meta.fields if field.name not in NOT_SHOWN),
)


class ReadOnly(LongList):
    actions: tuple[str, ...] = ("delete_selected",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def format_usd(amount: Decimal | None) -> str:
    return UNKNOWN if amount is None else f"${amount:,.4f}"


def format_count(n: float | None) -> str:
    return UNKNOWN if n is None else f"{n:,.0f}"


def mark_estimate(call: Call, text: str) -> str:
    return f"≈ {text}" if call.usage_source == "estimated" and text != UNKNOWN else text


@admin.register(Session)
class SessionAdmin(ReadOnly):
    list_display = (
        *("session_id", "last_call_at", "calls", "error_count", "refused_count", "tokens_in"),
        *("tokens_out", "cost", "who", "pinned"),
    )
    list_filter = ("last_call_at", "pinned")
    date_hierarchy = "last_call_at"
    search_fields = ("names",)
    search_help_text = "part of the session's id, of an agent, a user or a label"
    ordering = ("-last_call_at", "-id")
    actions = ("delete_selected", "export_selected")
    fields = (
        *(
            "session_id",
            "pages",
            "calls",
            "started_at",
            "last_call_at",
            "error_count",
            "refused_count",
        ),
        *("tokens_in", "tokens_out", "cost", "models", "agents", "users", "apps"),
        *("environments", "labels", "note", "pinned", "newest_calls"),
    )
    readonly_fields = ("pages", "calls", "tokens_in", "tokens_out", "cost", "newest_calls")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        return Session.objects.not_deleted()

    @admin.display
    def pages(self, session: Session) -> SafeString:
        query = urlencode({"session": session.session_id})
        export = reverse("export", args=[session.session_id])
        links = (
            (reverse("dashboard_session", args=[session.session_id]), "Transcript"),
            (f"{reverse('index')}?{query}", "Calls"),
            (f"{reverse('dashboard_flow')}?{query}", "Flow"),
            (f"{reverse('dashboard_trace')}?{query}", "Trace"),
            (f"{export}?format=json", "JSON"),
            (f"{export}?format=bundle", "Bundle"),
            (reverse("session_report", args=[session.session_id]), "Report"),
            (reverse("session_report_pdf", args=[session.session_id]), "PDF"),
        )
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    @admin.display(description="calls", ordering="call_count")
    def calls(self, session: Session) -> SafeString:
        url = f"{reverse('admin:capture_call_changelist')}?session__id__exact={session.pk}"
        return format_html('<a href="{}">{}</a>', url, f"{session.call_count:,}")

    @admin.display(description="tokens in", ordering="total_tokens_in")
    def tokens_in(self, session: Session) -> str:
        return format_count(session.total_tokens_in)

    @admin.display(description="tokens out", ordering="total_tokens_out")
    def tokens_out(self, session: Session) -> str:
        return format_count(session.total_tokens_out)

    @admin.display(description="cost", ordering="total_cost_usd")
    def cost(self, session: Session) -> str:
        return format_usd(session.total_cost_usd)

    @admin.display(description="agents")
    def who(self, session: Session) -> str:
        return ", ".join(session.agents) or UNKNOWN

    @admin.display(description="newest calls")
    def newest_calls(self, session: Session) -> str:
        calls = records.calls_of(session).reverse().select_related("session")[:20]
        rows = [
            {
                "url": reverse("admin:capture_call_change", args=[call.pk]),
                "at": call.timestamp,
                "agent": call.agent_name or UNKNOWN,
                "model": call.model_id or UNKNOWN,
                "outcome": call.outcome,
                "cost": mark_estimate(call, format_usd(call.cost_usd)),
            }
            for call in calls
        ]
        return render_to_string("admin/capture/_newest_calls.html", {"calls": rows})

    # Those who may only read may send the admin no form.
    @admin.action(description="Export selected sessions as a ZIP", permissions=["delete"])
    def export_selected(
        self, request: HttpRequest, found: QuerySet[Session]
    ) -> HttpResponseBase | None:
        names = list(found.values_list("session_id", flat=True)[: MAX_EXPORTED + 1])
        if len(names) > MAX_EXPORTED:
            text = f"Select at most {MAX_EXPORTED} sessions; manage.py export_session has no limit"
            self.message_user(request, text, messages.WARNING)
            return None
        chunks = in_chunks(sessions_archive(names, now()))
        headers = {"content-disposition": 'attachment; filename="sessions.zip"'}
        return stream(request, chunks, "application/zip", headers)

    # --- deletion ---

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Describes the consequences before a deletion, without reading every call."""
        sessions = list(objs)
        described = [
            f"{s.session_id}: {s.call_count:,} calls, {format_usd(s.total_cost_usd)}"
            for s in sessions
        ]
        counts = {"sessions": len(sessions), "calls": sum(s.call_count for s in sessions)}
        return described, counts, self._not_allowed(request), []

    def _not_allowed(self, request: HttpRequest) -> set[str]:
        return set() if self.has_delete_permission(request) else {"session"}

    def delete_model(self, request: HttpRequest, obj: Session) -> None:
        delete_session(actor_of(request), obj.session_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        for session in queryset:
            delete_session(actor_of(request), session.session_id)


class CallListFilter(admin.SimpleListFilter):
    """Filters calls by one of their names, whose values are known without reading the calls."""

    parameter_name: str

    def queryset(self, request: HttpRequest, calls: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return calls if value is None else calls.filter(**{self.parameter_name: value})


class OutcomeFilter(CallListFilter):
    title = parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(outcome, outcome) for outcome in Outcome]


class FormatFilter(CallListFilter):
    title, parameter_name = "wire format", "wire_format"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted(registry.NAMES)]


class CountedFilter(CallListFilter):
    """Filters by a name whose values the rollups have."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        name = self.parameter_name
        keys = RollupKey.objects.exclude(**{name: None}).order_by(name)
        return [(value, value) for value in keys.values_list(name, flat=True).distinct()]


class ProviderFilter(CountedFilter):
    title = parameter_name = "provider"


class EnvironmentFilter(CountedFilter):
    title = parameter_name = "environment"


@admin.register(Call)
class CallAdmin(ReadOnly):
    list_display = (
        *("timestamp", "in_session", "agent_name", "model_id", "outcome", "status_code"),
        *("tokens", "cost", "latency"),
    )
    list_filter = ("timestamp", OutcomeFilter, ProviderFilter, FormatFilter, EnvironmentFilter)
    date_hierarchy = "timestamp"
    list_select_related = ("session",)
    search_fields = ("action_id",)
    search_help_text = "words in a call's texts, names or ids, as in GET /api/search"
    ordering = ("-timestamp", "-seq")
    fields = SHOWN
    readonly_fields = SHOWN

    def get_queryset(self, request: HttpRequest) -> QuerySet[Call]:
        return Call.objects.not_deleted().select_related("session")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        try:
            query = Query.parse(search_term)
        except ValueError as error:
            self.message_user(request, str(error), messages.WARNING)
            return queryset.none(), False
        page = find_hits(SearchCriteria(query), limit=MAX_FOUND)
        if page.next is not None:
            self.message_user(
                request, f"Only the newest {MAX_FOUND} calls are listed.", messages.INFO
            )
        return queryset.filter(seq__in=[hit.call.seq for hit in page.hits]), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # The stubs do not allow the None that Django's own signature has.
        is_allowed = super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]
        return lookup == "session__id__exact" or is_allowed

    @admin.display
    def page(self, call: Call) -> SafeString:
        return format_html('<a href="{}">Open</a>', reverse("dashboard_call", args=[call.pk]))

    @admin.display(description="session", ordering="session")
    def in_session(self, call: Call) -> str:
        if call.session is None:
            return UNKNOWN
        url = reverse("admin:capture_session_change", args=[call.session.pk])
        return format_html('<a href="{}">{}</a>', url, call.session.session_id)

    @admin.display(description="tokens in / out")
    def tokens(self, call: Call) -> str:
        return mark_estimate(
            call, f"{format_count(call.tokens_in)} / {format_count(call.tokens_out)}"
        )

    @admin.display(description="cost", ordering="cost_usd")
    def cost(self, call: Call) -> str:
        return mark_estimate(call, format_usd(call.cost_usd))

    @admin.display(description="latency", ordering="latency_ms")
    def latency(self, call: Call) -> str:
        return UNKNOWN if call.latency_ms is None else f"{call.latency_ms:,.0f} ms"

    @admin.display
    def conversation(self, call: Call) -> str:
        record = records.find_record(call.pk)
        if record is None:
            return UNKNOWN
        prompt = record.prompt.text.data.decode() if record.prompt else None
        response = [("reasoning", record.row["reasoning"]), ("response", record.row["content"])]
        messages = [MessageView("system prompt", [MessageBlock("text", prompt)])] if prompt else []
        messages += [view_message(message) for message in record.messages]
        messages += [
            MessageView(role, [MessageBlock("text", text)]) for role, text in response if text
        ]
        messages += [
            MessageView("response", [MessageBlock("tool_call", row["arguments"], name=row["name"])])
            for row in record.tool_calls
        ]
        return render_to_string(
            "admin/capture/_conversation.html", {"messages": messages, "longest": MAX_TEXT}
        )

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        calls = list(objs)
        described = [f"{call.timestamp:%Y-%m-%d %H:%M:%S} UTC, {call.pk}" for call in calls]
        allowed = self.has_delete_permission(request)
        return described, {"calls": len(calls)}, set() if allowed else {"call"}, []

    def delete_model(self, request: HttpRequest, obj: Call) -> None:
        delete_call(actor_of(request), obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Call]) -> None:
        for action_id in queryset.values_list("pk", flat=True):
            delete_call(actor_of(request), action_id)
