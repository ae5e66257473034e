"""The measuring of streams.sh: many streams at once. What it shares with other benches is in common.py.

Whether a stream is left waiting is seen from outside, twice. The kernel says how many bytes of it nobody has read yet
(/proc/net/tcp, looked at twenty times a second), and at a pace that is a time. And the server says how long it took to send
each: what one took longer than most, it was held up.
"""

import contextlib
import datetime
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time

import common

setting = common.settings("STREAMS")
COUNT = int(setting("COUNT", "256"))
ROUNDS = int(setting("ROUNDS", "1"))
MODES = {"paced": float(setting("MB", "30")), "fast": float(setting("FAST_MB", "50"))}
BYTES_PER_SECOND = 250_000
# So many files are all that is held in memory; the cameras share them.
FILES = 8
# What the program may hold with so many streams, in MiB: 64 MiB, and 512 KiB for each.
ALLOWED = 64 + COUNT / 2

BEGIN = common.days_ago(1, 9)
END = BEGIN + datetime.timedelta(seconds=common.SECONDS)


class Watch(threading.Thread):
    """Looks at a process and its connections to one port while it runs."""

    def __init__(self, pid, port):
        super().__init__(daemon=True)
        self.pid, self.port = pid, f":{port:04X}"
        # The most bytes of one stream that nobody had read.
        self.unread = 0
        # When all streams were open at first and at last, each with the processor time until then.
        self.all_open = []
        self.start()

    def run(self):
        # Of a process that ends, nothing is left to read.
        with contextlib.suppress(OSError):
            while True:
                self.look()
                time.sleep(0.05)

    def look(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        now, connections = time.monotonic(), 0
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state, queues, *_ = line.split()
            if remote.endswith(self.port):
                self.unread = max(self.unread, int(queues.split(":")[1], 16))
                connections += state == "01"
        if connections >= COUNT:
            self.all_open = [*self.all_open[:1], (now, cpu)]

    def share(self):
        """Of one core, while all streams were open."""
        if len(self.all_open) < 2:
            return float("nan")
        (begun, before), (ended, after) = self.all_open
        return (after - before) / (ended - begun)


def start_nginx(servers, folder, sources):
    ports = {mode: common.free_port() for mode in MODES}
    log = f"access_log {folder}/sent.log sent"
    blocks = f"""
    server {{ listen 127.0.0.1:{ports["fast"]}; root {sources}/fast; }}
    server {{ listen 127.0.0.1:{ports["paced"]}; root {sources}/paced; {common.paced(BYTES_PER_SECOND)} {log}; }}
"""
    common.start_nginx(servers, folder, blocks, ports["fast"], 'log_format sent "$request_time";')
    return ports


def make_sources(servers, folder, to, megabytes):
    to.mkdir()
    common.write_recordings(servers, folder, to, FILES, megabytes, BEGIN)
    for camera in range(FILES + 1, COUNT + 1):
        (to / common.name(camera, BEGIN)).symlink_to(common.name((camera - 1) % FILES + 1, BEGIN))


def streams(environment, count, port, root):
    """Streams the windows of so many cameras at once."""
    common.quiet(root)
    watches = []
    command = [*common.archive_command(root, count, BEGIN, END, count), "--quiet"]
    result = common.measure(command, environment, root, lambda pid: watches.append(Watch(pid, port)))
    came = list(root.glob("*/*/*.flv"))
    if len(came) != count:
        sys.exit(f"{len(came)} of {count} recordings came")
    gigabytes = sum(path.stat().st_size for path in came) / 1e9
    (watch,) = watches
    return {**result, "cpu": result["cpu"] / gigabytes, "share": watch.share() * 100, "unread": watch.unread}


def measure_mode(mode, servers, folder, sources, ports, root):
    make_sources(servers, folder, sources / mode, MODES[mode])
    recorders = [[camera] for camera in range(1, COUNT + 1)]
    base = f"http://127.0.0.1:{ports[mode]}/"
    server, environment = common.platform(servers, folder, recorders, [f'media_base = "{base}"'])
    for number in range(ROUNDS):
        sent = folder / "sent.log"
        sent.write_text("")
        result = streams(environment, COUNT, ports[mode], root)
        print(f"{mode} round {number + 1}: {result['wall']:.1f} s, {result['share']:.1f} % of a core while all stream, "
              f"{result['cpu']:.3f} s/GB, {result['rss']:.0f} MiB, {result['unread'] / 1000:.0f} kB unread at most", flush=True)
        if mode == "paced":
            took = sorted(float(line) for line in sent.read_text().split())
            result["unread-longest"] = result["unread"] / BYTES_PER_SECOND * 1000
            result["slowest-later"] = (took[-1] - statistics.median(took)) * 1000
            # What nginx made of the pace: on a machine that is busy elsewhere it falls behind.
            result["rate"] = MODES[mode] * 1000 / statistics.median(took)
        yield result
    servers.stop(server)


UNITS = {"wall": "s", "rate": "kB/s", "cpu": "s/GB", "share": "%", "rss": "MiB", "rss-a-stream": "KiB",
         "rss-over-allowed": "ratio", "unread-longest": "ms", "slowest-later": "ms"}


def figures_of(mode, alone, results):
    for result in results:
        result["rss-a-stream"] = (result["rss"] - alone["rss"]) * 1024 / (COUNT - 1)
        result["rss-over-allowed"] = result["rss"] / ALLOWED
    for what, unit in UNITS.items():
        if what in results[0]:
            yield f"{mode}-{what}", statistics.median(result[what] for result in results), unit


def main():
    figures = []
    with common.place("streams", setting("SOURCES", "/dev/shm"), setting("TO", tempfile.gettempdir())) as place:
        servers, sources, folder = place
        root = folder / "to"
        ports = start_nginx(servers, folder, sources)
        modes = setting("MODES", "paced,fast").split(",")
        measured = {mode: list(measure_mode(mode, servers, folder, sources, ports, root)) for mode in modes}
        # What it holds with a single stream.
        server, environment = common.platform(servers, folder, [[1]], [f'media_base = "http://127.0.0.1:{ports["fast"]}/"'])
        if "fast" not in modes:
            make_sources(servers, folder, sources / "fast", 1)
        alone = streams(environment, 1, ports["fast"], root)
        common.quiet(root)
        figures.append(("rss-of-one", alone["rss"], "MiB"))
        for mode, results in measured.items():
            figures += figures_of(mode, alone, results)
    common.print_figures("streams", figures)


if __name__ == "__main__":
    main()
