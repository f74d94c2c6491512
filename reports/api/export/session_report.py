"""GET /export/{session_id}/report and …/report.pdf: a session as a page and as a PDF."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework.exceptions import ValidationError

from reports.dashboard.errors import not_found, page
from reports.export.files import content_disposition
from reports.export.pdf import PdfUnavailable
from reports.export.report import NoSuchPart, report_html
from reports.export.session_pdf import PAPERS, session_report_pdf
from reports.queries import records
from reports.queries.parameters import ChoiceParameter, NumberParameter, Parameters

# Seconds after which a PDF that could not be made may be asked for again.
RETRY_S = 10


class ReportParameters(Parameters):
    part = NumberParameter(
        lowest=1, highest=1_000_000, help_text="the part of a long session's report; default: 1"
    )


class PdfParameters(ReportParameters):
    paper = ChoiceParameter(PAPERS, help_text="the size of the pages; default: a4")


@page
def report_page(request: HttpRequest, session_id: str) -> HttpResponse:
    parameters = ReportParameters.parse(request.GET)
    session = records.find_session(session_id)
    if session is None:
        return not_found(request, f"session {session_id}")
    try:
        return HttpResponse(report_html(session, parameters.get("part", 1), request))
    except NoSuchPart as error:
        raise ValidationError({"part": [str(error)]}) from None


@page
def report_file(request: HttpRequest, session_id: str) -> HttpResponse:
    parameters = PdfParameters.parse(request.GET)
    session = records.find_session(session_id)
    if session is None:
        return not_found(request, f"session {session_id}")
    part = parameters.get("part", 1)
    try:
        pdf = session_report_pdf(session, part, parameters.get("paper", "a4"))
    except NoSuchPart as error:
        raise ValidationError({"part": [str(error)]}) from None
    except PdfUnavailable as error:
        response = render(request, "report/no_pdf.html", {"reason": error}, status=503)
        response["Retry-After"] = str(RETRY_S)
        return response
    suffix = ".pdf" if part == 1 else f"-part-{part}.pdf"
    response = HttpResponse(pdf, content_type="application/pdf")
    response["Content-Disposition"] = content_disposition(session.session_id, suffix)
    return response
