"""Lists of the admin that read no more of a table than they show."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import ModelAdmin, ShowFacets
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

# Rows of a list that are counted, and so can be paged to: not a million for each page.
COUNTED = 10_000


class ShortCount(Paginator[Any]):
    """Counts no further than COUNTED."""

    @cached_property
    def count(self) -> int:
        # Django types it as any list of objects.
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by().values("pk")[: COUNTED + 1].count()


class LongList(ModelAdmin[Any]):
    paginator = ShortCount
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # they count all rows for each choice
    list_per_page = 50
    change_list_template = "admin/long_list.html"
