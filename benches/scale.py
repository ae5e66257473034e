"""The measuring of scale.sh: nights of few and of many cameras. What it shares with other benches is in common.py.

A night is one process with an empty ledger, but for the device list, which is fetched before: 10 cameras to each recorder, each
in a store of its own. Small nights are repeated until a round has enough windows of them. What a process costs by itself is
measured as a night of a single camera and window, and taken off; what it costs because there are many cameras is not.
"""

import datetime
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile

import common

setting = common.settings("SCALE")
SIZES = [int(size) for size in setting("SIZES", "10,100,1000,10000").split(",")]
WINDOWS = int(setting("WINDOWS", "6"))
ROUNDS = int(setting("ROUNDS", "3"))
STREAMS = int(setting("STREAMS", "64"))
CAMERAS_PER_RECORDER = 10
# Of each size, a round has so many at least: some seconds of processor time.
WINDOWS_PER_ROUND = 1800
# Between two pictures. The program takes up to 20 s for a slow camera, and no hole.
STEP_MILLISECONDS = 10_000

BEGIN = common.days_ago(1, 9)


def tiny_recording():
    """Ten minutes with a picture in ten seconds: the configuration of the simulated platform's clip, and of its pictures the
    smallest, again and again."""
    clip = pathlib.Path("src/sim/clip.flv").read_bytes()
    pictures, at = [], 13
    while at < len(clip):
        size = int.from_bytes(clip[at + 1:at + 4], "big")
        if clip[at] == 9:
            pictures.append(clip[at + 11:at + 11 + size])
        at += 11 + size + 4

    def tag(payload, timestamp):
        time = (timestamp & 0xffffff).to_bytes(3, "big") + (timestamp >> 24).to_bytes(1, "big")
        header = b"\x09" + len(payload).to_bytes(3, "big") + time + bytes(3)
        return header + payload + (len(header) + len(payload)).to_bytes(4, "big")

    configuration, first, *others = pictures
    # The last one only says that it is the end.
    small = min(others[:-1], key=len)
    times = range(0, common.SECONDS * 1000, STEP_MILLISECONDS)
    tags = [tag(small if time else first, time) for time in times]
    return b"FLV\x01\x01\x00\x00\x00\x09" + bytes(4) + tag(configuration, 0) + b"".join(tags)


def start_platform(servers, folder, cameras, media):
    every = range(1, cameras + 1)
    recorders = [every[first:first + CAMERAS_PER_RECORDER] for first in range(0, cameras, CAMERAS_PER_RECORDER)]
    return common.platform(servers, folder, recorders, [f'media_base = "{media}/{{macs}}_"'])


def night(environment, cameras, windows, folder, under=()):
    """Runs a night into an empty archive, and looks whether all came. The command says as much as under cron."""
    # What earlier nights brought stays until the end: ext4 without a journal gives no inode again that was just deleted, and
    # each new file would look through all of those.
    root = pathlib.Path(tempfile.mkdtemp(prefix="night-", dir=folder))
    common.settle(root)
    refreshed = subprocess.run([common.PROGRAM, "devices", "--refresh", "--root", str(root)], env=environment,
                               capture_output=True, text=True)
    if refreshed.returncode != 0:
        sys.exit(f"the device list could not be fetched: {refreshed.stderr[-2000:]}")
    end = BEGIN + datetime.timedelta(seconds=windows * common.SECONDS)
    command = [*under, *common.archive_command(root, cameras, BEGIN, end, STREAMS)]
    result = common.measure(command, environment, root)
    with sqlite3.connect(root / "ledger.db") as ledger:
        (came,) = ledger.execute("SELECT count(*) FROM recording").fetchone()
    if came != cameras * windows:
        sys.exit(f"{came} of {cameras * windows} recordings came")
    return {**result, "windows": came}


def start_of_a_process(environment, folder):
    """Processor time of a night of one window, in seconds."""
    return statistics.median(night(environment, 1, 1, folder)["cpu"] for _ in range(5))


def measure_size(environment, cameras, starting, folder, under):
    """As many nights as a round needs of that size, as one."""
    nights = max(1, WINDOWS_PER_ROUND // (cameras * WINDOWS))
    measured = [night(environment, cameras, WINDOWS, folder, under) for _ in range(nights)]
    windows = sum(result["windows"] for result in measured)
    return {
        "windows-per-second": windows / sum(result["wall"] for result in measured),
        "cpu": sum(result["cpu"] - starting for result in measured) * 1000 / windows,
        "user": sum(result["user"] for result in measured) * 1000 / windows,
        "rss": max(result["rss"] for result in measured),
    }


UNITS = {"windows-per-second": "1/s", "cpu": "ms", "rss": "MiB"}


def figures_of(results):
    for size, measured in results.items():
        for what, unit in UNITS.items():
            yield f"{size}-{what}", statistics.median(result[what] for result in measured), unit
    if 100 in results:
        for size in results:
            pairs = zip(results[size], results[100])
            ratio = statistics.median(ours["cpu"] / theirs["cpu"] for ours, theirs in pairs)
            yield f"cpu-{size}-over-100", ratio, "ratio"


def main():
    under = setting("UNDER", "").split()
    results, starts = {size: [] for size in SIZES}, []
    with common.place("scale", setting("SOURCES", "/dev/shm"), setting("TO", tempfile.gettempdir())) as place:
        servers, sources, folder = place
        (sources / "tiny.flv").write_bytes(tiny_recording())
        port = common.free_port()
        media = f"http://127.0.0.1:{port}"
        # One file for all windows: whatever it is asked for.
        block = f"server {{ listen 127.0.0.1:{port}; root {sources}; location / {{ try_files /tiny.flv =404; }} }}"
        common.start_nginx(servers, folder, block, port)
        for number in range(ROUNDS):
            server, environment = start_platform(servers, folder, 1, media)
            starting = start_of_a_process(environment, folder)
            servers.stop(server)
            starts.append(starting * 1000)
            turn = number % len(SIZES)
            for size in SIZES[turn:] + SIZES[:turn]:
                server, environment = start_platform(servers, folder, size, media)
                result = measure_size(environment, size, starting, folder, under)
                servers.stop(server)
                results[size].append(result)
                print(f"round {number + 1} {size:6} cameras: {result['windows-per-second']:7.1f} windows/s, "
                      f"{result['cpu']:.3f} ms each ({result['user']:.3f} user, with the start of {starting * 1000:.0f} ms), "
                      f"{result['rss']:.0f} MiB", flush=True)
    common.print_figures("scale", [("start-cpu", statistics.median(starts), "ms"), *figures_of(results)])


if __name__ == "__main__":
    main()
