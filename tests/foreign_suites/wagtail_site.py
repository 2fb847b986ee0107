"""What does a new site of Wagtail have? Its tables, and the rows that its tests look for, without its 280 migrations.

They take a minute; the tables of the models as they are take seconds.
"""

from __future__ import annotations

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    """Make it in the database of the settings."""
    django.setup()
    settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("createcachetable")
    fill()


def fill() -> None:
    """Add what Wagtail's migrations add: a language, a home page and its site, and who approves pages."""
    # Models can be imported once Django is set up.
    from django.contrib.auth.models import Group
    from wagtail import models

    models.Locale.objects.create(language_code="en")
    models.Collection.add_root(name="Root")
    root = models.Page.add_root(title="Root", slug="root")
    home = root.add_child(title="Welcome to your new Wagtail site!", slug="home")
    models.Site.objects.create(hostname="localhost", root_page=home, is_default_site=True)
    moderators = Group.objects.create(name="Moderators")
    Group.objects.create(name="Editors")
    task = models.GroupApprovalTask.objects.create(name="Moderators approval")
    task.groups.add(moderators)
    workflow = models.Workflow.objects.create(name="Moderators approval")
    models.WorkflowTask.objects.create(workflow=workflow, task=task)
    models.WorkflowPage.objects.create(workflow=workflow, page=root)


if __name__ == "__main__":
    main()
