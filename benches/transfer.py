"""The measuring of transfer.sh: rounds in rotating order, and the figures. What it shares with other benches is in common.py.

Wall time is from a tool's start to its end, once as it is and once with the file system synced after it.
"""

import datetime
import filecmp
import os
import shlex
import shutil
import statistics
import sys
import tempfile

import common
from common import name

setting = common.settings("TRANSFER")
ROUNDS = int(setting("ROUNDS", "5"))
TOOLS = setting("TOOLS", "archive,unhashed,curl,aria2c,wget,cp").split(",")
MODES = {
    # Name: files, MB of each, how many at once.
    "bulk": (16, int(setting("MB", "256")), 8),
    "paced": (64, int(setting("PACED_MB", "64")), 64),
}
# What is called like an archive: the program itself, and one that was built without hashing.
OURS = {"archive": None, "unhashed": os.environ.get("ARCHIVE_UNHASHED")}
BEGIN = common.days_ago(1, 9)
END = BEGIN + datetime.timedelta(seconds=common.SECONDS)


def start_nginx(servers, folder, sources):
    ports = {"bulk": common.free_port(), "paced": common.free_port()}
    blocks = f"""
    server {{ listen 127.0.0.1:{ports["bulk"]}; root {sources}/bulk; }}
    server {{ listen 127.0.0.1:{ports["paced"]}; root {sources}/paced; {common.paced("1m")} }}
"""
    common.start_nginx(servers, folder, blocks, ports["bulk"])
    return ports


def command_of(tool, mode, base, sources, to):
    files, _, together = MODES[mode]
    pairs = [(f"{base}{name(camera, BEGIN)}", to / name(camera, BEGIN)) for camera in range(1, files + 1)]
    list_path = to.parent / "list"
    if tool in OURS:
        program, *arguments = common.archive_command(to, files, BEGIN, END, together)
        return [OURS[tool] or program, *arguments, "--quiet"]
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


def check(tool, mode, sources, to, thoroughly):
    """That everything came; and once, that it came right."""
    for camera in range(1, MODES[mode][0] + 1):
        came = next(to.glob(f"{camera}/*/*.flv")) if tool in OURS else to / name(camera, BEGIN)
        served = sources / name(camera, BEGIN)
        same = came.stat().st_size == served.stat().st_size
        if not same or thoroughly and not filecmp.cmp(served, came, shallow=False):
            sys.exit(f"{tool}: {came} is not what was served")


def rounds(mode, tools, environment, base, sources, to):
    results = {tool: [] for tool in tools}
    gigabytes = sum(path.stat().st_size for path in sources.iterdir()) / 1e9
    for number in range(ROUNDS):
        turn = number % len(tools)
        for tool in tools[turn:] + tools[:turn]:
            common.quiet(to)
            result = common.measure(command_of(tool, mode, base, sources, to), environment, to)
            check(tool, mode, sources, to, thoroughly=number == 0)
            result["cpu"] /= gigabytes
            result["user"] /= gigabytes
            results[tool].append(result)
            print(f"{mode} round {number + 1} {tool:<8} {result['wall']:6.2f} s, synced {result['wall-synced']:6.2f} s, "
                  f"{result['cpu']:.3f} s/GB ({result['user']:.3f} user), {result['rss']:.0f} MiB", flush=True)
    common.quiet(to)
    return results


UNITS = {"wall": "s", "wall-synced": "s", "cpu": "s/GB", "rss": "MiB"}


def figures_of(mode, results):
    for tool, measured in results.items():
        for what, unit in UNITS.items():
            yield f"{mode}-{tool}-{what}", statistics.median(result[what] for result in measured), unit
    for ours in (tool for tool in results if tool in OURS):
        for tool in (tool for tool in results if tool not in OURS):
            for what in UNITS:
                # Round by round, so that a machine that grows slower does so for both.
                pairs = zip(results[ours], results[tool])
                ratio = statistics.median(our[what] / their[what] for our, their in pairs)
                yield f"{mode}-{what}-{ours}-over-{tool}", ratio, "ratio"


def main():
    figures = []
    with common.place("transfer", setting("SOURCES", "/dev/shm"), setting("TO", tempfile.gettempdir())) as place:
        servers, sources, folder = place
        ports = None
        for mode in setting("MODES", "bulk,paced").split(","):
            files, megabytes, _ = MODES[mode]
            (sources / mode).mkdir()
            common.write_recordings(servers, folder, sources / mode, files, megabytes, BEGIN)
            ports = ports or start_nginx(servers, folder, sources)
            base = f"http://127.0.0.1:{ports[mode]}/"
            recorders = [[camera] for camera in range(1, files + 1)]
            server, environment = common.platform(servers, folder, recorders, [f'media_base = "{base}"'])
            # Nothing paces cp; and at a camera's pace hashing is the least of it.
            tools = [tool for tool in TOOLS if mode == "bulk" or tool not in ("cp", "unhashed")]
            results = rounds(mode, tools, environment, base, sources / mode, folder / "to")
            figures += figures_of(mode, results)
            servers.stop(server)
            shutil.rmtree(sources / mode)
    common.print_figures("transfer", figures)


if __name__ == "__main__":
    main()
