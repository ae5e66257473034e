"""The measuring of transfer.sh: servers, rounds in rotating order, and the figures. Needs nothing but Python 3.8.

Wall time is from a tool's start to its end, once as it is and once with the file system synced after it. Processor time is
user and system time of the tool's whole process tree, which wait4 tells. It leaves out what the kernel does for it later:
whoever syncs by itself pays for starting to write to the disk, whoever does not leaves that to the kernel's own threads.
Peak memory is that of all its
processes together, looked at ten times a second.
"""

import contextlib
import datetime
import filecmp
import os
import pathlib
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = os.path.abspath(sys.argv[1])
SECONDS = 600
# Five pictures a second; what the clip itself has, and what surrounds a filler, does not matter here.
PICTURES = 5 * SECONDS
PACED_RATE = "1m"
PIECE = "5k"
ZONE = datetime.timezone(datetime.timedelta(hours=8))


def setting(name, default):
    return os.environ.get("TRANSFER_" + name, default)


ROUNDS = int(setting("ROUNDS", "5"))
TOOLS = setting("TOOLS", "archive,curl,aria2c,wget,cp").split(",")
MODES = {
    # Name: files, MB of each, how many at once.
    "bulk": (16, int(setting("MB", "256")), 8),
    "paced": (64, int(setting("PACED_MB", "64")), 64),
}

# Yesterday at nine, in the zone that the simulated platform and the program have by default.
BEGIN = (datetime.datetime.now(ZONE) - datetime.timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
END = BEGIN + datetime.timedelta(seconds=SECONDS)
START = int(BEGIN.timestamp())


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


def platform(servers, folder, cameras, extra):
    """Starts a simulated platform with a recorder for each camera; gives the program's environment for it."""
    lines = ['secret = "hush"', *extra, "[[stores]]", "id = 1", 'name = "bench"']
    for camera in range(1, cameras + 1):
        lines += ["[[stores.nvrs]]", f'id = "nvr {camera}"', f"cameras = [{{ id = {camera} }}]"]
    setup = folder / "platform.toml"
    setup.write_text("\n".join(lines) + "\n")
    port = free_port()
    command = [PROGRAM, "simulate", "--listen", f"127.0.0.1:{port}", "--config", str(setup)]
    server = servers.start(command, port, folder / "platform.log")
    # The usual ceiling would spread the beginning of 64 streams over 13 s: it is no cost of moving bytes.
    settings = folder / "settings.toml"
    settings.write_text("[platform]\ncalls_per_second = 1000\n")
    return server, {
        **{name: value for name, value in os.environ.items() if not name.startswith("ARCHIVE_")},
        "ARCHIVE_CONFIG": str(settings),
        "ARCHIVE_URL": f"http://127.0.0.1:{port}/m.api",
        "ARCHIVE_AKEY": "rehearsal",
        "ARCHIVE_SECRET": "hush",
    }


def archive_command(root, cameras, streams):
    stamp = "%Y-%m-%d %H:%M"
    return [PROGRAM, "--device", f"1-{cameras}", "--from", BEGIN.strftime(stamp), "--to", END.strftime(stamp),
            "--root", str(root), "--streams", str(streams), "--quiet"]


def name(camera):
    return f"{camera}_{START}_{SECONDS}.flv"


def make_sources(servers, folder, sources, files, megabytes):
    """True H.264 of ten minutes each, written by the simulated platform, brought by the program itself."""
    filler = max(megabytes * 1_000_000 // PICTURES - 500, 0)
    server, environment = platform(servers, folder, files, [f"filler = {filler}"])
    root = sources / "written"
    done = subprocess.run(archive_command(root, files, 4), env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"the sources could not be written (exit code {done.returncode}): {done.stdout}{done.stderr}")
    servers.stop(server)
    for camera in range(1, files + 1):
        (written,) = (root / str(camera)).glob("*/*.flv")
        written.rename(sources / name(camera))
    shutil.rmtree(root)


def start_nginx(servers, folder, sources):
    ports = {"bulk": free_port(), "paced": free_port()}
    temporary = "".join(f"    {kind}_temp_path {folder}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    # Sent from the page cache, pieces would be whole pages.
    configuration = f"""
daemon off; pid {folder}/nginx.pid; error_log stderr; worker_processes 1;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; default_type video/x-flv;
{temporary}
    server {{ listen 127.0.0.1:{ports["bulk"]}; root {sources}/bulk; }}
    server {{
        listen 127.0.0.1:{ports["paced"]}; root {sources}/paced;
        limit_rate {PACED_RATE}; sendfile_max_chunk {PIECE}; sendfile off; output_buffers 1 {PIECE};
    }}
}}
"""
    path = folder / "nginx.conf"
    path.write_text(configuration)
    command = ["nginx", "-p", str(folder), "-c", str(path)]
    servers.start(command, ports["bulk"], folder / "nginx.log")
    return ports


def command_of(tool, mode, base, sources, to):
    files, _, together = MODES[mode]
    pairs = [(f"{base}{name(camera)}", to / name(camera)) for camera in range(1, files + 1)]
    list_path = to.parent / "list"
    if tool == "archive":
        return archive_command(to, files, together)
    if tool == "curl":
        list_path.write_text("".join(f'url = "{url}"\noutput = "{path}"\n' for url, path in pairs))
        return ["curl", "-s", "-f", "-Z", "--parallel-immediate", "--parallel-max", str(together), "-K", str(list_path)]
    if tool == "aria2c":
        list_path.write_text("".join(f"{url}\n  out={path.name}\n" for url, path in pairs))
        # Its other ways of allocating files write them twice, or take longer.
        return ["aria2c", "-q", f"-j{together}", "-x1", "--file-allocation=none", "-d", str(to), "-i", str(list_path)]
    if tool == "wget":
        list_path.write_text("".join(f"{shlex.quote(str(path))} {url}\n" for url, path in pairs))
        each = ["wget", "-q", "-O"]
    else:
        list_path.write_text("".join(f"{shlex.quote(str(sources / path.name))} {shlex.quote(str(path))}\n"
                                     for _, path in pairs))
        each = ["cp"]
    return ["xargs", "-a", str(list_path), "-L", "1", "-P", str(together), *each]


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


def measure(command, environment, to):
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=subprocess.STDOUT)
        memory = Memory(child.pid)
        memory.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        memory.ended.set()
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            output.seek(0)
            sys.exit(f"{command[0]} ended with {child.returncode}: {output.read().decode(errors='replace')}")
    subprocess.run(["sync", "-f", str(to)], check=True)
    return {
        "wall": wall,
        "wall-synced": time.monotonic() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "user": usage.ru_utime,
        "rss": memory.peak / 1024,
    }


def check(tool, mode, sources, to, thoroughly):
    """That everything came; and once, that it came right."""
    for camera in range(1, MODES[mode][0] + 1):
        came = next(to.glob(f"{camera}/*/*.flv")) if tool == "archive" else to / name(camera)
        served = sources / name(camera)
        same = came.stat().st_size == served.stat().st_size
        if not same or thoroughly and not filecmp.cmp(served, came, shallow=False):
            sys.exit(f"{tool}: {came} is not what was served")


def quiet(to):
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    subprocess.run(["sync", "-f", str(to)], check=True)
    time.sleep(1)


def rounds(mode, tools, environment, base, sources, to):
    results = {tool: [] for tool in tools}
    gigabytes = sum(path.stat().st_size for path in sources.iterdir()) / 1e9
    for number in range(ROUNDS):
        turn = number % len(tools)
        for tool in tools[turn:] + tools[:turn]:
            quiet(to)
            result = measure(command_of(tool, mode, base, sources, to), environment, to)
            check(tool, mode, sources, to, thoroughly=number == 0)
            result["cpu"] /= gigabytes
            result["user"] /= gigabytes
            results[tool].append(result)
            print(f"{mode} round {number + 1} {tool:<8} {result['wall']:6.2f} s, synced {result['wall-synced']:6.2f} s, "
                  f"{result['cpu']:.3f} s/GB ({result['user']:.3f} user), {result['rss']:.0f} MiB", flush=True)
    quiet(to)
    return results


UNITS = {"wall": "s", "wall-synced": "s", "cpu": "s/GB", "rss": "MiB"}


def figures_of(mode, results):
    for tool, measured in results.items():
        for what, unit in UNITS.items():
            yield f"{mode}-{tool}-{what}", statistics.median(result[what] for result in measured), unit
    for tool, measured in results.items():
        if tool == "archive" or "archive" not in results:
            continue
        for what in UNITS:
            # Round by round, so that a machine that grows slower does so for both.
            pairs = zip(results["archive"], measured)
            ratio = statistics.median(ours[what] / theirs[what] for ours, theirs in pairs)
            yield f"{mode}-{what}-archive-over-{tool}", ratio, "ratio"


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    servers = Servers()
    figures = []
    with tempfile.TemporaryDirectory(prefix="transfer-", dir=setting("SOURCES", "/dev/shm")) as memory, \
            tempfile.TemporaryDirectory(prefix="transfer-", dir=setting("TO", tempfile.gettempdir())) as disk:
        folder, sources = pathlib.Path(disk), pathlib.Path(memory)
        # nginx' workers are somebody else.
        sources.chmod(0o755)
        try:
            ports = None
            for mode in setting("MODES", "bulk,paced").split(","):
                files, megabytes, _ = MODES[mode]
                (sources / mode).mkdir()
                make_sources(servers, folder, sources / mode, files, megabytes)
                ports = ports or start_nginx(servers, folder, sources)
                base = f"http://127.0.0.1:{ports[mode]}/"
                server, environment = platform(servers, folder, files, [f'media_base = "{base}"'])
                # cp has nothing that paces it.
                tools = [tool for tool in TOOLS if mode == "bulk" or tool != "cp"]
                results = rounds(mode, tools, environment, base, sources / mode, folder / "to")
                figures += figures_of(mode, results)
                servers.stop(server)
                shutil.rmtree(sources / mode)
        finally:
            servers.stop_all()
    rate = os.environ.get("TRANSFER_BLAKE3")
    if rate:
        figures.append(("blake3-alone-cpu", 1 / float(rate), "s/GB"))
    for name_of, value, unit in figures:
        print(f"figure transfer/{name_of} {value:.3f} {unit}")


if __name__ == "__main__":
    main()
