"""Git over HTTP on loopback: nginx before git's own `http-backend`.

The repositories lie in the folder `git` of the server. `/open/NAME` lets everybody in, `/auth/NAME` those who know
the password; `/broken/…` answers 500, `/page/…` with a page for people, `/busy/…` 503.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .running import NotInstalledError, Server, free_port, spawn, wait_until_ready  # noqa: TID252 - by either name

_WORKERS = 3  # each a process of its own: children of fcgiwrap would outlive it
USER, PASSWORD = "ada", "canary-password-5be1"

_CONFIG = """\
{user}
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  upstream git {{
{workers}
  }}
  access_log {folder}/access;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  fastcgi_temp_path {folder}/fastcgi;
  proxy_temp_path {folder}/proxy;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  fastcgi_param SCRIPT_FILENAME {backend};
  fastcgi_param GIT_PROJECT_ROOT {folder}/git;
  fastcgi_param GIT_HTTP_EXPORT_ALL 1;
  fastcgi_param QUERY_STRING $query_string;
  fastcgi_param REQUEST_METHOD $request_method;
  fastcgi_param CONTENT_TYPE $content_type;
  fastcgi_param CONTENT_LENGTH $content_length;
  fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
  fastcgi_param REMOTE_USER $remote_user;
  fastcgi_param PATH_INFO $name;
  fastcgi_param HOME {folder};
  fastcgi_param PATH {path};
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/open(?<name>/.*)$ {{
      fastcgi_pass git;
    }}
    location ~ ^/auth(?<name>/.*)$ {{
      auth_basic "team";
      auth_basic_user_file {folder}/passwords;
      fastcgi_pass git;
    }}
    location /broken/ {{ return 500; }}
    location /busy/ {{ return 503; }}
    location /page/ {{
      default_type text/html;
      return 200 "<html>\n<body>\nPlease log in\n</body>\n</html>\n";
    }}
  }}
}}
"""


def start(port: int | None = None) -> Server:
    """A server without repositories; see :func:`add`."""
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    fcgiwrap = shutil.which("fcgiwrap", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if nginx is None or fcgiwrap is None:
        raise NotInstalledError("apt-get install nginx-light fcgiwrap")
    backend = Path(
        subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip(),
        "git-http-backend",
    )
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="gitml-git-http-"))
    (folder / "git").mkdir()
    (folder / "passwords").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (folder / "config").write_text(
        _CONFIG.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            backend=backend,
            port=port,
            path=os.environ["PATH"],
            workers="\n".join(f"    server unix:{folder}/socket{n};" for n in range(_WORKERS)),
        )
    )
    processes = [
        spawn([fcgiwrap, "-s", f"unix:{folder}/socket{n}"], folder, f"fcgiwrap{n}.log")
        for n in range(_WORKERS)
    ]
    processes.append(
        spawn([nginx, "-c", str(folder / "config"), "-e", str(folder / "nginx.err")], folder, "nginx.log")
    )
    server = Server(
        endpoint_url=f"http://127.0.0.1:{port}", environment={}, processes=processes, folder=folder
    )
    try:
        wait_until_ready(port, processes[-1], folder / "nginx.log")
    except BaseException:
        server.stop()
        raise
    return server


def add(server: Server, repository: Path) -> str:
    """Offer a bare repository; gives its name, which `/open/` and `/auth/` go before."""
    subprocess.run(["git", "-C", str(repository), "config", "http.receivepack", "true"], check=True)
    name = f"{len(list((server.folder / 'git').iterdir()))}.git"
    (server.folder / "git" / name).symlink_to(repository)
    return name
