"""Is a cluster found again by what it left on disk, and nothing else ever removed?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from django_gmf_router.testing import watchdog
from django_gmf_router.testing.home import FILE, TOKEN_FILE, ClusterState, Maker, load
from django_gmf_router.testing.machine import LocalClusterError
from django_gmf_router.testing.watchdog import end_cluster


def test_a_state_is_read_as_it_was_saved(state: ClusterState) -> None:
    state.save()
    assert load(state.directory) == state


def test_a_saved_state_is_private(state: ClusterState) -> None:
    state.save()
    assert (state.directory / FILE).stat().st_mode & 0o777 == 0o600


def test_an_empty_directory_has_no_state(tmp_path: Path) -> None:
    assert load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', '{"version": 2, "ports": []}'])
def test_a_file_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LocalClusterError, match=r"cluster\.json is not a cluster's state .*: remove it"):
        load(tmp_path)


def test_a_state_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 99}')
    with pytest.raises(LocalClusterError, match="is of another version"):
        load(tmp_path)


def test_this_process_is_its_own_maker_and_lives() -> None:
    assert Maker.myself().pid == os.getpid()
    assert Maker.myself().lives()


def test_a_maker_whose_pid_another_process_took_over_is_gone() -> None:
    assert not replace(Maker.myself(), began=1.0).lives()
    assert not Maker(pid=2**22 + 1, began=1.0).lives()


def test_a_maker_that_is_a_zombie_is_gone() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        maker = Maker(pid=child.pid, began=psutil.Process(child.pid).create_time())
        assert maker.lives()
        child.kill()
        # Waits without reaping.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not maker.lives()


def test_ending_a_stale_cluster_removes_all_its_files(state: ClusterState) -> None:
    state.save()
    end_cluster(state)
    assert not state.directory.exists()


def test_ending_it_twice_is_harmless(state: ClusterState) -> None:
    state.save()
    end_cluster(state)
    end_cluster(state)


def test_a_directory_without_the_token_is_left_alone(state: ClusterState) -> None:
    state.save()
    (state.home / TOKEN_FILE).write_text("somebody else's")
    end_cluster(state)
    assert state.home.exists()


def test_files_of_others_stay_in_the_directory(state: ClusterState) -> None:
    state.save()
    (state.directory / "notes.txt").write_text("mine")
    end_cluster(state)
    assert [path.name for path in state.directory.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("text", "stays"), [("*\n", False), ("*.pyc\n", True)])
def test_a_gitignore_of_the_users_own_stays(state: ClusterState, text: str, stays: bool) -> None:
    (state.directory / ".gitignore").write_text(text)
    end_cluster(state)
    assert (state.directory / ".gitignore").exists() == stays


def test_a_directory_that_the_user_made_stays(state: ClusterState) -> None:
    state = replace(state, made_directory=False)
    state.save()
    end_cluster(state)
    assert list(state.directory.iterdir()) == []


def test_the_watchdog_ends_what_its_owner_left(state: ClusterState, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO()))
    watchdog.main(state.directory)
    assert not state.directory.exists()


def test_the_watchdog_has_nothing_to_do_after_a_regular_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO()))
    watchdog.main(tmp_path / "gone")


def test_a_program_that_no_state_names_is_ended_with_the_cluster(state: ClusterState) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    bin_dir = state.directory / "bin"
    bin_dir.mkdir()
    program = shutil.copy(Path(sleep).resolve(), bin_dir / "postgres")
    state = replace(state, bin_dir=bin_dir)
    state.save()
    with (
        subprocess.Popen([program, "60"], cwd=state.home) as ours,
        subprocess.Popen([program, "60"], cwd=state.directory) as elsewhere,
        subprocess.Popen([sleep, "60"], cwd=state.home) as another,
    ):
        end_cluster(state)
        assert ours.wait(10) == -signal.SIGTERM
        assert (elsewhere.poll(), another.poll()) == (None, None)
        elsewhere.kill()
        another.kill()
