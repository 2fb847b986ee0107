"""Which foreign suites are run, and how?"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import ROOT
from tests.django_suites.compare import Outcomes
from tests.django_suites.runs import SuiteBroken, outcomes_of, search_path
from tests.django_suites.source import source_folder
from tests.foreign_suites.packages import Package, packages_folder

IS_SOAK = bool(os.environ.get("GMF_SOAK"))
# Over Django's own engine without us; over ours; and the same with every test inside use_replica().
VARIANTS = ("stock", "cluster", "use_replica") if IS_SOAK else ("stock", "cluster")
AT_A_TIME = 2


class Suite(ABC):
    """The tests of a package, which run over the primary of a cluster in each of VARIANTS."""

    package: Package
    # Of a test that ends as chance has it, without us too: its id, and the reason. Its end is not compared.
    uncertain: Mapping[str, str] = {}
    # Of a test that has to fail with us: its id, and the reason.
    exceptions: Mapping[str, str] = {}

    @abstractmethod
    def prepare(self, cluster: LocalCluster) -> None:
        """Fetch what is needed, once for all variants; raise SourceMissing or SuiteBroken."""

    @abstractmethod
    def run(self, cluster: LocalCluster, variant: str) -> Outcomes:
        """Return how each test ends; raise SuiteBroken where they do not tell."""


class RestFramework(Suite):
    """All tests of Django REST framework, by its own conftest and options; pytest runs them."""

    package = Package(
        name="djangorestframework",
        version="3.18.3",
        # The last is for its conftest. The others are optional to it, and have tests.
        needs=("django-filter", "django-guardian", "inflection", "markdown", "uritemplate", "dj-database-url"),
    )

    def prepare(self, cluster: LocalCluster) -> None:
        self._packages = packages_folder(self.package)
        # The wheel carries no tests.
        self._folder = source_folder(self.package.name, self.package.version, "tests").parent

    def run(self, cluster: LocalCluster, variant: str) -> Outcomes:
        env = {
            "PYTHONPATH": search_path(self._packages, Path(__file__).parent / "inside", ROOT),
            "DATABASE_URL": cluster.url("primary"),
            "GMF_SUITE_VARIANT": variant,
        }
        # In the order in which they are written, as its own run has it.
        command = ["-m", "pytest", "-q", "-p", "gmf_suite", "-p", "no:randomly", "-p", "no:cacheprovider", "tests"]
        return outcomes_of(f"{self.package.name} ({variant})", command, self._folder, env)


class Wagtail(Suite):
    """The tests of Wagtail, which its wheel carries, in its test project; Django's runner runs them."""

    package = Package(
        name="wagtail",
        version="8.0.1",
        needs=("Jinja2", "freezegun", "responses", "factory-boy", "tblib"),
    )
    uncertain = {
        "wagtail.api.v3.tests.test_page_update.TestV3PageUpdate"
        ".test_update_and_publish_live_page_with_draft_keeps_draft_changes": "two rows in an order by NULL"
    }
    exceptions = {
        "wagtail.images.tests.tests.TestFrontendServeView"
        ".test_get_cache_control": "the GET that makes an image writes: its answer carries a token, and so is private"
    }
    # What a request to a page does, in the site and in its admin, and how pages are queried: half a minute. The rest is
    # blocks, images, forms and many more pages of the admin, of which a router sees the same, and takes an hour.
    PART = (
        "wagtail.tests.tests",
        "wagtail.tests.test_page_privacy",
        "wagtail.tests.test_page_queryset",
        "wagtail.tests.test_views",
        "wagtail.admin.tests.pages.test_delete_page",
        "wagtail.admin.tests.pages.test_unpublish_page",
    )
    LABELS = ("wagtail",) if IS_SOAK else PART
    SITE = ("-m", "django", "migrate", "--verbosity=0") if IS_SOAK else ("-m", "tests.foreign_suites.wagtail_site")
    TIMEOUT_SECONDS = 7200

    def prepare(self, cluster: LocalCluster) -> None:
        self._packages = packages_folder(self.package)
        cluster.execute("primary", 'CREATE DATABASE wagtail OWNER "gmf"')
        env = {**os.environ, **self._env(cluster, VARIANTS[0])}
        made = subprocess.run(
            [sys.executable, *self.SITE], check=False, cwd=ROOT, env=env, capture_output=True, text=True
        )
        if made.returncode:
            raise SuiteBroken(f"the site of {self.package.name} could not be made:\n{made.stderr[-4000:]}")

    def run(self, cluster: LocalCluster, variant: str) -> Outcomes:
        with tempfile.TemporaryDirectory() as scratch:
            env = {**self._env(cluster, variant), "TMPDIR": scratch}
            command = ["-m", "django", "test", *self.LABELS, "--noinput"]
            name = f"{self.package.name} ({variant})"
            return outcomes_of(name, command, ROOT, env, timeout_seconds=self.TIMEOUT_SECONDS)

    def _env(self, cluster: LocalCluster, variant: str) -> dict[str, str]:
        entry = cluster.databases()["default"]
        return {
            "PYTHONPATH": search_path(self._packages, ROOT),
            "DJANGO_SETTINGS_MODULE": f"{__package__}.settings.wagtail_{variant}",
            "GMF_SUITE_VARIANT": variant,
            # Its settings choose apps by the name of the engine.
            "DATABASE_ENGINE": "django.db.backends.postgresql",
            **{f"DATABASE_{key}": str(entry[key]) for key in ("USER", "PASSWORD", "HOST", "PORT")},
            "DATABASE_NAME": "wagtail",
        }


SUITES = {"drf": RestFramework, "wagtail": Wagtail}
