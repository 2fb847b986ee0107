"""What may be said by the forms of the status page?"""

from __future__ import annotations

from collections.abc import Mapping

from django import forms
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy

from django_gmf_router.control import changes
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

RESET = "reset"
ON_OR_OFF = {"on": True, "off": False}
ACTIONS = ("drain", "undrain", "maintenance", "share")


class OrderRefused(Exception):
    """Nothing was changed; `status` is that of the response."""

    def __init__(self, message: str, status: int) -> None:
        """Take one line for the operator."""
        super().__init__(message)
        self.status = status


class Order(forms.Form):
    """What an operator wants: `action`, of which `alias`, with which `value`, for which `reason`."""

    action = forms.ChoiceField(choices=[(action, action) for action in ACTIONS])
    alias = forms.CharField(required=False, max_length=200)
    value = forms.CharField(required=False, max_length=20)
    reason = forms.CharField(required=False, max_length=500)

    def carry_out(self, *, by: str) -> str:
        """Change it, and return in one line what holds now. Raise OrderRefused."""
        if not self.is_valid():
            raise OrderRefused(_first_error(self), 400)
        fields = self.cleaned_data
        said = {"by": by, "reason": fields["reason"]}
        try:
            if fields["action"] == "share":
                return _share(_cluster(fields["alias"]), fields["value"], said)
            if fields["action"] == "maintenance":
                return _maintenance(_cluster(fields["alias"]), fields["value"], said)
            return _drain(fields["action"], fields["alias"], said)
        except CommandError as error:
            raise OrderRefused(_unchanged(error), 409) from None
        except DatabaseError as error:
            raise OrderRefused(_unchanged(cause_of(error)), 503) from None


class Question(forms.Form):
    """A request of which one asks where it would read."""

    method = forms.RegexField(
        r"\A[A-Za-z]+\Z", label=pgettext_lazy("status page", "Method"), max_length=32, initial="GET"
    )
    path = forms.CharField(label=pgettext_lazy("status page", "Path"), max_length=2000, strip=False)

    def clean_method(self) -> str:
        """Return it as requests have it."""
        return str(self.cleaned_data["method"]).upper()

    def clean_path(self) -> str:
        """Return Django's path: with a slash, without the query."""
        path = str(self.cleaned_data["path"])
        if not path.startswith("/"):
            raise forms.ValidationError(_("The path begins with a slash: give it as the browser shows it, /like/this."))
        return path.partition("?")[0]


def _share(config: ClusterConfig, value: str, said: Mapping[str, str]) -> str:
    share = None if value == RESET else _fraction(value)
    changes.set_share(config, share, **said)
    if share is None:
        told = _("Replicas serve what SHARE says, %(share)s of the clients of %(alias)s.")
    else:
        told = _("Replicas serve %(share)s of the clients of %(alias)s.")
    return told % {"share": f"{config.share if share is None else share:.0%}", "alias": config.primary}


def _fraction(value: str) -> float:
    try:
        return float(forms.FloatField(min_value=0, max_value=100).clean(value)) / 100
    except forms.ValidationError:
        text = _("share: say a number of per cent from 0 to 100, or %(word)s.")
        raise OrderRefused(text % {"word": RESET}, 400) from None


def _maintenance(config: ClusterConfig, value: str, said: Mapping[str, str]) -> str:
    if value not in ON_OR_OFF:
        raise OrderRefused(_("maintenance: say on or off."), 400)
    changes.set_maintenance(config, ON_OR_OFF[value], **said)
    told = _("Maintenance of %(alias)s is on.") if ON_OR_OFF[value] else _("Maintenance of %(alias)s is off.")
    return told % {"alias": config.primary}


def _drain(action: str, alias: str, said: Mapping[str, str]) -> str:
    found = {name: config for config in configuration.clusters() for name in config.replica_aliases}
    if alias not in found:
        text = _("%(action)s: '%(alias)s' is no replica: %(names)s.")
        raise OrderRefused(text % {"action": action, "alias": alias, "names": _named(found)}, 400)
    config = found[alias]
    drains = action == "drain"
    change = (changes.drain if drains else changes.undrain)(config, alias, **said)
    follows = changes.who_serves(config, changes.steering_of(config, change).drained)
    told = _("Replica %(alias)s is drained.") if drains else _("Replica %(alias)s serves again.")
    return f"{told % {'alias': alias}} {follows}"


def _cluster(alias: str) -> ClusterConfig:
    """Return the cluster of this primary; an alias need not be given where there is one cluster."""
    found = {config.primary: config for config in configuration.clusters()}
    if not alias and len(found) == 1:
        (alias,) = found
    if alias not in found:
        text = _("'%(alias)s' is no primary of a cluster in GMF_ROUTER: %(names)s.")
        raise OrderRefused(text % {"alias": alias, "names": _named(found)}, 400)
    return found[alias]


def _named(found: Mapping[str, ClusterConfig]) -> str:
    return ", ".join(map(repr, found)) or _("none is configured")


def _unchanged(reason: object) -> str:
    return _("Nothing was changed: %(reason)s") % {"reason": reason}


def _first_error(form: forms.Form) -> str:
    field, errors = next(iter(form.errors.items()))
    return f"{field}: {errors[0]}"
