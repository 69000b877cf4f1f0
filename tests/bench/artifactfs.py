"""The program under measurement: one artifactfs daemon with a state directory of its own, and its mounts."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from server import PROJECT

END_TIMEOUT_S = 20


def find_artifactfs(given=None):
    """The artifactfs program: as given, or the newest one built in this worktree without sanitizers."""
    if given:
        return str(Path(given).resolve())
    built = [path for path in PROJECT.glob("build/*/bin/artifactfs") if path.parts[-3] in ("release", "quickstart")]
    if not built:
        raise RuntimeError("cannot find 'artifactfs': build it (cmake --build --preset release) or give --artifactfs")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def clean_environment(**more):
    """The caller's environment without its git settings and proxies: what is measured depends on neither."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("GIT_") and name.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
    environment.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null", GIT_TERMINAL_PROMPT="0",
                       LC_ALL="C", **more)
    return environment


def run(argv, environment=None, check=True):
    """Runs to the end with output thrown away and returns the seconds it took; a failure carries standard error."""
    start = time.monotonic()
    done = subprocess.run(list(map(str, argv)), env=environment or clean_environment(), cwd="/",
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    seconds = time.monotonic() - start
    if check and done.returncode != 0:
        raise RuntimeError(f"'{' '.join(map(str, argv))}' failed ({done.returncode}): "
                           f"{done.stderr.decode(errors='replace').strip()[-2000:]}")
    return seconds


def run_piped(argv, cwd, statuses=(0,)):
    """Runs in `cwd` to the end; returns its seconds and how many bytes it printed.

    Standard output is a pipe that is read: tar and grep do not read the files if it is /dev/null.
    """
    start = time.monotonic()
    process = subprocess.Popen(list(map(str, argv)), env=clean_environment(), cwd=cwd, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    total_bytes = 0
    buffer = bytearray(1 << 20)
    while count := process.stdout.readinto(buffer):
        total_bytes += count
    process.stdout.close()
    status = process.wait()
    seconds = time.monotonic() - start
    if status not in statuses:
        raise RuntimeError(f"'{' '.join(map(str, argv))}' failed in '{cwd}' ({status})")
    return seconds, total_bytes


def mount_points_below(directory):
    prefix = f"{directory}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        points = [line.split(" ")[4] for line in mounts]
    return [point for point in points if point.startswith(prefix)]


class Daemon:
    """A daemon with an empty state below `directory`. A context manager.

    close() unmounts and ends the daemon by the pid that it tells; the directory stays.
    """

    def __init__(self, program, directory, running):
        """`running`: start it and wait until it answers; else the first mount() starts it."""
        self.program = program
        self.directory = Path(directory)
        self.directory.mkdir()
        self.environment = clean_environment(ARTIFACTFS_STATE_DIR=str(self.directory / "state"))
        self.mounts = 0
        self.process = None
        if running:
            log = open(self.directory / "daemon.log", "wb")
            self.process = subprocess.Popen([program, "daemon"], env=self.environment, cwd="/", stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
            log.close()
            self._wait_until_it_answers()

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + END_TIMEOUT_S
        while self.pid() is None:
            if time.monotonic() > deadline or self.process.poll() is not None:
                log = (self.directory / "daemon.log").read_text(errors="replace")[-2000:]
                self.close()
                raise RuntimeError(f"cannot start 'artifactfs daemon': {log}")
            time.sleep(0.02)

    def pid(self):
        """The daemon's pid, or None when none answers."""
        done = subprocess.run([self.program, "status", "--json"], env=self.environment, cwd="/", check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            return json.loads(done.stdout)["daemon"]["pid"]
        except (ValueError, KeyError, TypeError):
            return None

    def new_directory(self):
        self.mounts += 1
        directory = self.directory / f"mnt{self.mounts}"
        directory.mkdir()
        return directory

    def mount(self, url, directory, *options):
        """Mounts and lists the root; returns the seconds of both together."""
        return (run([self.program, "mount", *options, url, directory], self.environment) +
                run(["ls", directory], self.environment))

    def unmount(self, directory):
        run([self.program, "unmount", directory], self.environment)

    def close(self):
        for point in mount_points_below(self.directory):
            run([self.program, "unmount", "--force", point], self.environment, check=False)
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        elif self.process is not None:
            self.process.terminate()
        deadline = time.monotonic() + END_TIMEOUT_S
        while pid is not None and self._is_alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        if self.process is not None:
            self.process.wait(END_TIMEOUT_S)
        for point in mount_points_below(self.directory):
            run(["umount", "-l", point] if os.geteuid() == 0 else ["fusermount3", "-u", "-z", point], check=False)

    @staticmethod
    def _is_alive(pid):
        try:
            os.waitpid(pid, os.WNOHANG)  # ours to reap when `mount` started it: see server.adopt_orphans
        except ChildProcessError:
            pass
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
