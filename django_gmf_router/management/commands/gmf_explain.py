"""Explain where the reads of a request go, and why."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model

from django_gmf_router import clusters
from django_gmf_router.routing.advice import Explanation, explain


class Command(BaseCommand):
    """`gmf_explain METHOD PATH [--model app.Model] [--json]`."""

    help = "Explain where the reads of a request go: the decision, the rule that made it, the rules it beat."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the request, and the model that is read."""
        parser.add_argument("method", metavar="METHOD", help="GET, POST, ...")
        parser.add_argument("path", metavar="PATH", help="Django's path: decoded, with the script prefix, no query")
        parser.add_argument(
            "--model", metavar="app.Model", help="the model that is read; else any that is no primary model"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print the explanation."""
        try:
            found = _explanation(options["method"].upper(), _path(options["path"]), _model(options["model"]))
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(found.as_dict()) if options["json"] else _lines(found))


def _explanation(method: str, path: str, model: type[Model] | None) -> Explanation:
    registry = clusters.registry()
    cluster = next(iter(registry.clusters), None) if model is None else clusters.of_app(model._meta.app_label)
    if cluster is None:
        return Explanation(method=method, path=path, model=None if model is None else model._meta.label)
    return explain(cluster.config, cluster.policy, method=method, path=path, model=model)


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise CommandError(
            f"The path {path!r} does not begin with a slash: give it as the browser shows it, /like/this."
        )
    return path.partition("?")[0]


def _model(label: str | None) -> type[Model] | None:
    if label is None:
        return None
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        raise CommandError(f"There is no model {label!r}: name it as app_label.ModelName.") from None


def _lines(found: Explanation) -> str:
    if found.decided_by is None:
        return f"{found.method} {found.path}: not routed; no cluster with replicas holds this model. See GMF_ROUTER."
    rule = found.decided_by
    lines = [
        f"{found.method} {found.path}",
        f"  decision: {rule.role} ({' or '.join(found.aliases)}), reason {rule.reason}",
        *(f"  pool: {found.pool}" for _ in [found.pool] if found.pool),
        *(f"  while none of these can serve: {', then '.join(found.then)}" for _ in [found.then] if found.then),
        f"  rule {rule.number}: {rule.text}",
        *(f"  beat rule {other.number}: {other.text} ({other.role}, {other.reason})" for other in found.rules[1:]),
    ]
    lines += [f"  {each}" for each in found.but]
    if rule.role == "replica":
        lines.append("  unless the view writes, opens a transaction or says use_primary() before it reads")
    return "\n".join(lines)
