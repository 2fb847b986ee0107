"""Ask the servers whether the site is set up right: a line each, OK or what is wrong and the remedy."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.core.management.color import Style

from django_gmf_router.doctor import Finding, Verdict
from django_gmf_router.doctor.examination import diagnose
from django_gmf_router.management import style_of

STYLES = {Verdict.OK: "SUCCESS", Verdict.RISKY: "WARNING", Verdict.WRONG: "ERROR"}
NO_CLUSTER = "No cluster with replicas is configured: see GMF_ROUTER."


class Command(BaseCommand):
    """`gmf_doctor [--json]`; exits with 0, or 1 where something is wrong."""

    help = "Ask the servers whether the site is set up right. Exits with 1 if something is wrong."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the format."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        """Print what was found, and exit."""
        findings = diagnose()
        if options["json"]:
            self.stdout.write(json.dumps([finding.as_dict() for finding in findings]))
        else:
            style = style_of(self, options)
            self.stdout.write("\n".join(_line(finding, style) for finding in findings) or NO_CLUSTER)
        if any(finding.verdict == Verdict.WRONG for finding in findings):
            sys.exit(1)


def _line(finding: Finding, style: Style) -> str:
    word = finding.verdict.upper()
    return str(finding).replace(word, getattr(style, STYLES[finding.verdict])(word), 1)
