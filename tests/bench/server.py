"""A git server as people run it: nginx, fcgiwrap and `git http-backend` on a free loopback port, each reachable
directly and through a proxy that adds a round-trip time.

Everything lives in one temporary directory and ends, by process id, with close().
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FASTCGI_CHILDREN = 16
START_TIMEOUT_S = 15

NGINX_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 0;
  tcp_nodelay on;
  keepalive_requests 1000000;
  keepalive_timeout 3600s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      fastcgi_pass unix:{directory}/fcgiwrap.socket;
      # A pack must stream: buffered, its first byte would wait for nginx's temporary files.
      fastcgi_buffering off;
      fastcgi_read_timeout 3600s;
      fastcgi_param SCRIPT_FILENAME {backend};
      fastcgi_param GIT_PROJECT_ROOT {root};
      fastcgi_param GIT_HTTP_EXPORT_ALL "";
      fastcgi_param GIT_CONFIG_COUNT 1;
      fastcgi_param GIT_CONFIG_KEY_0 safe.directory;
      fastcgi_param GIT_CONFIG_VALUE_0 *;
      fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param SERVER_PROTOCOL $server_protocol;
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_delay_proxy(given=None):
    """The delay_proxy program (tests/harness): as given, or the newest one built in this worktree."""
    if given:
        return str(Path(given).resolve())
    built = [path for path in PROJECT.glob("build/*/**/delay_proxy") if os.access(path, os.X_OK) and path.is_file()]
    if not built:
        raise RuntimeError("cannot find 'delay_proxy': build it (cmake --build --preset release) or give --delay-proxy")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def adopt_orphans():
    """Grandchildren whose parent ends become ours to reap, so that none stays behind as a zombie (containers often
    have no init that reaps)."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def end(process):
    """SIGTERM to the process group that start() made, SIGKILL after 5 s; all its members are reaped."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
            break
        except subprocess.TimeoutExpired:
            continue
    try:
        while True:
            os.waitpid(-process.pid, 0)
    except ChildProcessError:
        pass


def start(argv, **options):
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **options)


class GitServer:
    """Serves every repository below `root` (a directory of *.git) until close(). A context manager."""

    def __init__(self, root, delay_proxy=None):
        adopt_orphans()
        self.root = Path(root).resolve()
        self.port = free_port()
        self.proxy_program = delay_proxy
        self.proxies = {}  # round-trip time in ms -> (process, port)
        self.processes = []
        self.directory = Path(tempfile.mkdtemp(prefix="artifactfs-server-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        backend = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"
        for program in ("nginx", "fcgiwrap"):
            if not self._program(program):
                raise RuntimeError(f"cannot start the git server: '{program}' is not installed")
        configuration = self.directory / "nginx.conf"
        configuration.write_text(NGINX_CONFIGURATION.format(
            user="user root root;" if os.geteuid() == 0 else "", directory=self.directory, port=self.port,
            backend=backend, root=self.root))
        self.processes.append(start([self._program("fcgiwrap"), "-c", str(FASTCGI_CHILDREN), "-s",
                                     f"unix:{self.directory}/fcgiwrap.socket"], stderr=subprocess.DEVNULL))
        self.processes.append(start([self._program("nginx"), "-p", str(self.directory), "-e",
                                     f"{self.directory}/nginx-error.log", "-c", str(configuration)]))
        self._wait_until_it_answers()

    @staticmethod
    def _program(name):
        return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

    def _wait_until_it_answers(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        repository = next(iter(sorted(self.root.glob("*.git"))), None)
        while True:
            try:
                if repository is None:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                else:
                    urllib.request.urlopen(f"{self.url(repository.name)}/HEAD", timeout=5).read()
                return
            except OSError as error:
                if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                    log = self.directory / "nginx-error.log"
                    raise RuntimeError(f"cannot start the git server: {error}\n"
                                       f"{log.read_text() if log.exists() else ''}") from error
                time.sleep(0.02)

    def proxy_port(self, rtt_ms):
        """The port behind which this server is `rtt_ms` away; the proxy is started on first use."""
        if rtt_ms not in self.proxies:
            process = start([find_delay_proxy(self.proxy_program), "--listen", "0", "--target",
                             f"127.0.0.1:{self.port}", "--rtt", f"{rtt_ms:g}"], stdout=subprocess.PIPE, text=True)
            self.processes.append(process)
            digits = re.search(r"\d+", process.stdout.readline())
            if not digits:
                raise RuntimeError("cannot start 'delay_proxy': it printed no port")
            self.proxies[rtt_ms] = (process, int(digits.group()))
        return self.proxies[rtt_ms][1]

    def url(self, name, rtt_ms=0):
        """The URL of repository `name` ("git.git"); with rtt_ms 0 without a proxy."""
        port = self.proxy_port(rtt_ms) if rtt_ms else self.port
        return f"http://127.0.0.1:{port}/{name}"

    def is_busy(self):
        """Whether a git process of this server runs now: whether one of fcgiwrap's children has a child."""
        def children(pid):
            try:
                return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except (FileNotFoundError, ProcessLookupError):
                return []

        return any(children(worker) for worker in children(self.processes[0].pid))

    def close(self):
        for process in reversed(self.processes):
            end(process)
            if process.stdout:
                process.stdout.close()
        self.processes.clear()
        self.proxies.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
