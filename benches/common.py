"""What the benches of the whole program have in common: servers, the simulated platform, measuring, and figures. Needs nothing
but Python 3.8. Each bench is started by the script of its name, which gives the program as the first argument.

Processor time is user and system time of the measured process and those below it, which wait4 tells. It leaves out what the
kernel does for it later: whoever syncs by itself pays for starting to write to the disk, whoever does not leaves that to the
kernel's own threads. Peak memory is that of all its processes together, looked at ten times a second.
"""

import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = os.path.abspath(sys.argv[1])
# How long a window is.
SECONDS = 600
# The zone that the simulated platform and the program have by default.
ZONE = datetime.timezone(datetime.timedelta(hours=8))


def settings(prefix):
    """Reads a bench's settings from the environment."""
    return lambda name, default: os.environ.get(f"{prefix}_{name}", default)


def days_ago(days, hour):
    return (datetime.datetime.now(ZONE) - datetime.timedelta(days=days)).replace(
        hour=hour, minute=0, second=0, microsecond=0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def reachable(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Servers:
    """Processes that end with this one."""

    def __init__(self):
        self.running = []

    def start(self, command, port, log):
        with open(log, "wb") as output:
            server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.running.append(server)
        until = time.monotonic() + 20
        while not reachable(port):
            if server.poll() is not None or time.monotonic() > until:
                sys.exit(f"{command[0]} does not answer on port {port}:\n{pathlib.Path(log).read_text()}")
            time.sleep(0.05)
        return server

    def stop(self, server):
        self.running.remove(server)
        server.terminate()
        server.wait()

    def stop_all(self):
        for server in list(self.running):
            self.stop(server)


@contextlib.contextmanager
def place(prefix, memory, disk):
    """Servers, a folder in memory and one on a disk, all of which end with the bench, also when it is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    servers = Servers()
    with tempfile.TemporaryDirectory(prefix=f"{prefix}-", dir=memory) as sources, \
            tempfile.TemporaryDirectory(prefix=f"{prefix}-", dir=disk) as folder:
        # nginx' workers are somebody else.
        os.chmod(sources, 0o755)
        try:
            yield servers, pathlib.Path(sources), pathlib.Path(folder)
        finally:
            servers.stop_all()


def platform(servers, folder, recorders, extra=(), program=()):
    """Starts a simulated platform with these recorders, each the list of its cameras; gives the program's environment for it.
    `extra` is for the platform, `program` for the program."""
    lines = ['secret = "hush"', *extra]
    for number, cameras in enumerate(recorders, 1):
        cameras = ", ".join(f"{{ id = {camera} }}" for camera in cameras)
        lines += ["[[stores]]", f"id = {number}", f'name = "store {number}"',
                  "[[stores.nvrs]]", f'id = "nvr {number}"', f"cameras = [{cameras}]"]
    setup = folder / "platform.toml"
    setup.write_text("\n".join(lines) + "\n")
    port = free_port()
    command = [PROGRAM, "simulate", "--listen", f"127.0.0.1:{port}", "--config", str(setup)]
    server = servers.start(command, port, folder / "platform.log")
    # The usual ceiling would spread the beginning of 64 streams over 13 s: it is no cost of the program.
    path = folder / "settings.toml"
    path.write_text("\n".join(["[platform]", "calls_per_second = 100000", *program]) + "\n")
    return server, {
        **{name: value for name, value in os.environ.items() if not name.startswith("ARCHIVE_")},
        "ARCHIVE_CONFIG": str(path),
        "ARCHIVE_URL": f"http://127.0.0.1:{port}/m.api",
        "ARCHIVE_AKEY": "rehearsal",
        "ARCHIVE_SECRET": "hush",
    }


def archive_command(root, cameras, begin, end, streams):
    stamp = "%Y-%m-%d %H:%M"
    return [PROGRAM, "--device", f"1-{cameras}", "--from", begin.strftime(stamp), "--to", end.strftime(stamp),
            "--root", str(root), "--streams", str(streams)]


def name(camera, begin):
    """What the simulated platform calls a recording that somebody else serves."""
    return f"{camera}_{int(begin.timestamp())}_{SECONDS}.flv"


def write_recordings(servers, folder, to, recordings, megabytes, begin):
    """True H.264 of ten minutes each, written by the simulated platform with filler behind each picture, brought by the program
    itself: of cameras 1 to so many, called as the simulated platform has it."""
    # Five pictures a second; what the clip itself has, and what surrounds a filler, does not matter here.
    filler = max(int(megabytes * 1_000_000) // (5 * SECONDS) - 500, 0)
    recorders = [[camera] for camera in range(1, recordings + 1)]
    server, environment = platform(servers, folder, recorders, [f"filler = {filler}"])
    root = to / "written"
    end = begin + datetime.timedelta(seconds=SECONDS)
    command = [*archive_command(root, recordings, begin, end, 4), "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the sources could not be written (exit code {done.returncode}): {done.stdout}{done.stderr}")
    servers.stop(server)
    for camera in range(1, recordings + 1):
        (written,) = (root / str(camera)).glob("*/*.flv")
        written.rename(to / name(camera, begin))
    shutil.rmtree(root)


def start_nginx(servers, folder, blocks, port, http=""):
    """Starts nginx with these server blocks, one of which listens on `port`."""
    temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = f"""
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; default_type video/x-flv;
{temporary}
{http}
{blocks}
}}
"""
    path = folder / "nginx.conf"
    path.write_text(configuration)
    return servers.start(["nginx", "-p", str(folder), "-c", str(path)], port, folder / "nginx.log")


def paced(rate):
    """For an nginx server block: at most that rate for each stream, in pieces of 5 kB, which is what cameras look like. Sent
    from the page cache, pieces would be whole pages."""
    return f"limit_rate {rate}; sendfile_max_chunk 5k; sendfile off; output_buffers 1 5k;"


class Memory(threading.Thread):
    """The most memory that a process and those below it held together. What wait4 tells of memory is no use here: it counts
    what this process held when it forked."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            # Of a process that ends meanwhile, nothing is left to read.
            with contextlib.suppress(OSError, ValueError):
                self.peak = max(self.peak, self.held_by(self.pid))

    def held_by(self, pid):
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        own = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        below = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return own + sum(self.held_by(child) for child in below)


def measure(command, environment, to, watch=None):
    """Runs a command to its end. `watch` is called with its process's number, and may give a thread to run beside it."""
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=subprocess.STDOUT)
        memory = Memory(child.pid)
        memory.start()
        if watch:
            watch(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        memory.ended.set()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            output.seek(0)
            sys.exit(f"{command[0]} ended with {child.returncode}: {output.read().decode(errors='replace')[-4000:]}")
    subprocess.run(["sync", "-f", str(to)], check=True)
    return {
        "wall": wall,
        "wall-synced": time.monotonic() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "user": usage.ru_utime,
        "rss": memory.peak / 1024,
    }


def quiet(to):
    """Empties a folder, and lets the disk come to rest."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    settle(to)


def settle(to):
    """Lets the disk come to rest."""
    subprocess.run(["sync", "-f", str(to)], check=True)
    time.sleep(1)


def print_figures(bench, figures):
    for name_of, value, unit in figures:
        print(f"figure {bench}/{name_of} {value:.3f} {unit}")
