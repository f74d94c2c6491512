"""Lists in the admin that read only the rows they show, however long the table is."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, ShowFacets
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

# The rows of a list that are counted and can be paged to. To count a million takes longer than to
# show a page.
MAX_COUNTED = 10_000


class BoundedPaginator(Paginator[Any]):
    """A paginator that stops counting after MAX_COUNTED rows."""

    @cached_property
    def count(self) -> int:
        # Django types it as any list of objects.
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # never a list here
        return rows.order_by().values("pk")[: MAX_COUNTED + 1].count()


class LongList(ModelAdmin[Any]):
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # facets count all rows for each choice
    list_per_page = 50
    change_list_template = "admin/long_list.html"

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """A filter by what no column can hold, such as the year 2⁶³, is a wrong filter, which
        Django leaves out of the list's address."""
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, DataError) as error:
            raise IncorrectLookupParameters(error) from error
