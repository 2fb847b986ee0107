"""What does `gmf_cluster` say where there is no cluster to speak of?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_gmf_router.testing.home import ClusterState


def run(*args: str, **options: object) -> str:
    output = StringIO()
    call_command("gmf_cluster", *args, stdout=output, **options)
    return output.getvalue()


@pytest.mark.parametrize("command", [["down"], ["status"], ["kill", "primary"]])
def test_a_directory_without_a_cluster_is_named_with_the_remedy(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GMF_CLUSTER_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    remedy = "name its directory (--directory), or bring one up (manage.py gmf_cluster up)"
    with pytest.raises(CommandError, match=f"^no cluster in {tmp_path}/.gmf_cluster: {re.escape(remedy)}$"):
        run(*command)


def test_what_a_crash_left_is_taken_down(state: ClusterState) -> None:
    state.save()
    shutil.rmtree(state.home)
    assert run("down", directory=state.directory) == f"the cluster in {state.directory} is down\n"
    assert not state.directory.exists()


@pytest.mark.parametrize("verb", ["up", "down", "status"])
def test_a_verb_for_the_whole_cluster_takes_no_node(state: ClusterState, verb: str) -> None:
    state.save()
    with pytest.raises(CommandError, match=f"^{verb} is for the whole cluster: leave replica_1 out$"):
        run(verb, "replica_1", directory=state.directory)
    assert state.owns_home()


def test_the_how_to_says_first_what_the_command_needs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "local-cluster.md").read_text()
    before, _, _ = text.partition("manage.py gmf_cluster up")
    assert 'INSTALLED_APPS += ["django_gmf_router"]' in before


def test_without_the_extra_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["psutil"] = None
from django.conf import settings
from django.core.management import execute_from_command_line
settings.configure(INSTALLED_APPS=["django_gmf_router"])
execute_from_command_line(["manage.py", "gmf_cluster", "status"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'CommandError: psutil is missing: pip install "django-gmf-router[cluster]"\n'
