"""A register for each client: a POST writes a number and redirects, a GET says which node shows which number."""

from __future__ import annotations

from django.db.models import Value
from django.db.models.functions import Greatest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from django_gmf_router import current_decision
from tests.books.models import Tile

DIGITS = 12
READ = "SELECT id, name, current_setting('port')::int AS port FROM library_tile WHERE id = %s"


@csrf_exempt
def register(request: HttpRequest, number: int) -> HttpResponse:
    """Write or read register `number`; of two writes at the same time the larger one stays."""
    if request.method == "POST":
        value = f"{int(request.GET['n']):0{DIGITS}}"
        Tile.objects.filter(pk=number).update(name=Greatest("name", Value(value)))
        return HttpResponseRedirect(request.path)
    (row,) = Tile.objects.raw(READ, [number])
    decision = current_decision()
    assert decision is not None
    return JsonResponse({"value": int(row.name), "port": row.port, "reason": decision.reason})


urlpatterns = [path("register/<int:number>", register)]
