"""What did operators say of a cluster? One table in its own database, which replicates with the rest."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Control(models.Model):
    """A change of the control state: the whole state from then on, and who made it, when and why."""

    version = models.BigAutoField(pgettext_lazy("change of control", "number"), primary_key=True)
    # JSON as text: a JSONField has `check` ask the database whether it can.
    state = models.TextField(pgettext_lazy("change of control", "state from then on"))
    changed_at = models.DateTimeField(pgettext_lazy("change of control", "at"), auto_now_add=True)
    changed_by = models.CharField(pgettext_lazy("change of control", "by"), max_length=150)
    reason = models.TextField(pgettext_lazy("change of control", "reason"), blank=True)

    class Meta:
        """The newest counts."""

        db_table = "gmf_router_control"
        default_permissions = ("view",)
        permissions = [("control", _("Can steer the cluster"))]
        ordering = ["-version"]
        verbose_name = _("change of control")
        verbose_name_plural = _("changes of control")

    def __str__(self) -> str:
        """Name it by its number."""
        return f"{self.version}"


class Status(Control):
    """The status page, as a line of the admin's index; it holds nothing."""

    class Meta:
        """No table and no permissions of its own."""

        proxy = True
        # Django would ask the default database how long a name may be, as soon as the app is loaded.
        db_table = "gmf_router_control"
        default_permissions = ()
        verbose_name = _("status of the clusters")
        verbose_name_plural = _("status of the clusters")
