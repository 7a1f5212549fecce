"""A soak: clients come and go while everything that can be reloaded is. Is anything left of them?

    .venv/bin/python bench/soak.py --minutes 10
    .venv/bin/python bench/soak.py --minutes 120        the long form

A gateway of two workers that asks for credentials, with TLS, a socket of its host, two tenants, an
audit, the recorder and a delayed venue. 100 clients a second bring fresh tokens (in the request, in
a message), API keys, or what is neither; 20 stay, 20 hardly read. Every five seconds something is
changed and read again: grants, signing keys, the certificate, API keys, a limit with a user that is
revoked, a recording on demand.

Every ten seconds descriptors, threads and memory of each process are read. They are FLAT if, the
first minute left out, the median of the last third is not above that of the second third by more
than 2 % or 2 MiB of memory, 5 % or 8 descriptors (of the workers together), 0 threads; and if with
all clients gone each process has as many descriptors and threads as before. Counters balance if
all rows of the last table are equal. The exit code is 0, or 1 where something grows or does not
balance.

Workers hold keys, so that their descriptors and shares of memory are shown to root alone: started
by another user it has 0 there, and says so.
"""

import argparse
import asyncio
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import soak_ledger as ledger
from soak_clients import Crowd, Where
from support.certificates import Authority
from support.identity import Issuer
from support.serving import Metrics, Serving, descriptors, resident_bytes, serving

from gateway.identity.issue import generate

SAMPLE_S: Final = 10.0
WARM_UP_S: Final = 10.0
FIRST: Final = 6  # samples: a minute
KEYS: Final = 4
"""Signing keys that count at once: nobody that comes and goes outlives one."""
API_KEYS: Final = 8
REST_TRIES: Final = 40
SHARE, BYTES = 0.02, 2 << 20
FD_SHARE, FDS = 0.05, 8
GRANTS: Final = (
    '["*"]\ngrants = [{channels=["*"], instruments=["*"]}]\n',
    '["*"]\ngrants = [{channels=["*"], instruments=["*"], max_hz=20}]\n',
    '["*"]\ngrants = [{channels=["trade","bbo"], instruments=["*.SIM","*.SIM_D"]}]\n',
)
LIMITS: Final = ("requests_burst = 200", "requests_burst = 300")


class Sample(NamedTuple):
    """What a process holds."""

    descriptors: int
    threads: int
    rss: int
    pss: int


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def pss_bytes(pid: int) -> int:
    """Resident memory with what is shared divided by those that share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("Pss:"))
    return int(found) * 1024


def shown(look: Callable[[int], int], pid: int) -> int:
    """What a look at a process gives; 0 where that is not for this user."""
    try:
        return look(pid)
    except PermissionError:
        return 0


class World:
    """The gateway's files, and what is done to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.issuer = Issuer(directory, *["EdDSA"] * KEYS)
        self.authority = Authority(directory)
        self.config = directory / "gateway.toml"
        self.unix = str(directory / "clients.sock")
        self._admin = str(directory / "admin.sock")
        self._numbers = KEYS
        self._turn = 0
        self.audit = directory / "audit"
        self.api_keys = [self._api_key() for _ in range(API_KEYS)]
        self.issuer.write("grants", GRANTS[0])
        self.issuer.write("revoked", b"")
        self.config.write_text("")
        self.certificate()

    def _api_key(self) -> str:
        return self.issuer.api_key("robot", tenant="desk-b")

    def certificate(self) -> None:
        """Another one."""
        self.cert, self.key = self.authority.sign("server", "DNS:localhost", "IP:127.0.0.1")

    def sets(self) -> list[str]:
        """The gateway's settings."""
        return [
            *self.issuer.sets("api_keys", "grants", in_band="true", failures_per_minute="30"),
            f"auth.pepper={self.issuer.path('api_keys.pepper')}",
            *(f"tls.cert={self.cert}", f"tls.key={self.key}", "ops.tls=false"),
            *(f"listen.unix={self.unix}", f"admin.unix={self._admin}", "cluster.workers=2"),
            *(f"audit.path={self.audit}", "audit.max_bytes=4194304", "audit.keep=10000"),
            *("tenants.0.name=desk-a", "tenants.0.weight=3", "tenants.1.name=desk-b"),
            *("feeds.0.type=synthetic", "feeds.0.venue=SIM", "feeds.0.symbols=10"),
            *("feeds.0.rate=200", "feeds.1.type=delay", "feeds.1.of=SIM", "feeds.1.venue=SIM_D"),
            *("feeds.1.delay_s=3", f"feeds.1.directory={self.directory / 'spool'}"),
            *("ring.capacity_bytes=4194304", "plane.log_bytes=8388608", "memory.populate=start"),
            *(f"recorder.directory={self.directory / 'recordings'}", "recorder.files_max=2"),
            *("slo.target_us=20000", "slo.enforce=false", "auth.deadline_s=2"),
        ]

    # --- every five seconds -----------------------------------------------------------------------

    def change(self, gateway: Serving) -> str:
        """The next change; what it was."""
        turns = (
            self._change_grants,
            self._change_keys,
            self._change_certificate,
            self._change_api_keys,
            self._revoke,
            self._record,
        )
        self._turn += 1
        return turns[self._turn % len(turns)](gateway)

    def _hang_up(self, gateway: Serving) -> None:
        os.kill(gateway.process.pid, signal.SIGHUP)

    def _ask(self, *words: str) -> None:
        command = [sys.executable, "-P", "-m", "gateway.cli", "admin", *words]
        subprocess.run([*command, "--unix", self._admin], check=True, capture_output=True)

    def _change_grants(self, gateway: Serving) -> str:
        self.issuer.write("grants", GRANTS[self._turn // 6 % len(GRANTS)])
        self._hang_up(gateway)
        return "grants"

    def _change_keys(self, _: Serving) -> str:
        """A new key; the oldest signs and verifies no more."""
        new = generate("EdDSA", f"EdDSA-{self._numbers}")
        self._numbers += 1
        old = self.issuer.keys
        self.issuer.write_keys([*old[1:], new])  # what verifies comes before what signs
        self._ask("reload")
        time.sleep(0.6)  # each worker has read it by then
        self.issuer.keys = [*old[1:], new]
        return "keys"

    def _change_certificate(self, gateway: Serving) -> str:
        self.certificate()
        self._hang_up(gateway)
        return "certificate"

    def _change_api_keys(self, _: Serving) -> str:
        """The oldest counts no more, and whoever has come with it goes."""
        self.api_keys.append(self._api_key())
        self._ask("reload")
        time.sleep(0.6)
        del self.api_keys[0]
        return "API keys"

    def _revoke(self, gateway: Serving) -> str:
        self._ask("revoke", "--user", f"stay-{self._turn % 20}")
        self.config.write_text(f"[limits]\n{LIMITS[self._turn // 6 % 2]}\n")
        self._hang_up(gateway)
        return "revocation, limits"

    def _record(self, gateway: Serving) -> str:
        gateway.get("/record")
        return "a recording"


class Soak:
    """One run."""

    def __init__(self, gateway: Serving, world: World, given: argparse.Namespace) -> None:
        self._gateway = gateway
        self._world = world
        self._given = given
        where = Where(gateway.url, world.unix, world.authority.client(), world.issuer)
        where.api_keys = world.api_keys
        self.crowd = Crowd(where)
        found = {one["name"]: int(one["pid"]) for one in gateway.status()["processes"]}
        self.pids = {"supervisor": gateway.process.pid, **found}
        self.samples: dict[str, list[Sample]] = {name: [] for name in self.pids}
        self.changes = 0
        self._open: list[ledger.Row] = []

    async def run(self) -> tuple[bool, bool]:
        """Whether it is flat; whether it balances."""
        await self._crowded(min(WARM_UP_S, self._given.minutes * 60), sampled=False)
        before = self._held()
        await self._crowded(self._given.minutes * 60, sampled=True)
        await self._until(lambda: self._held() == before)
        return self._flat(before, self._held()), self._balances()

    async def _crowded(self, seconds: float, *, sampled: bool) -> None:
        """Clients for so long; then until all are gone."""
        given = self._given
        over = asyncio.Event()
        changing = asyncio.create_task(self._change(over))
        self.crowd.start(per_s=given.per_s, staying=given.staying, slow=given.slow)
        step_s = min(SAMPLE_S, seconds)
        for _ in range(round(seconds / step_s)):  # a host that stands still makes it no shorter
            await asyncio.sleep(step_s)
            if sampled:
                self._sample()
        over.set()
        await changing  # one that was begun counts
        await self.crowd.stop()
        if not await self._until(self._rests):
            print("not at rest:", *self._open, sep="\n  ", flush=True)

    async def _change(self, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._given.change_s)
            if over.is_set():
                return
            try:
                what = await loop.run_in_executor(None, self._world.change, self._gateway)
                self.changes += 1
            except (OSError, subprocess.SubprocessError) as error:
                self.crowd.counts["failed"] += 1
                print(f"a change failed: {error}", flush=True)
            else:
                print(f"{time.strftime('%H:%M:%S')} changed: {what}", flush=True)

    async def _until(self, done: Callable[[], bool]) -> bool:
        loop = asyncio.get_running_loop()
        for _ in range(REST_TRIES):
            if await loop.run_in_executor(None, done):
                return True
            await asyncio.sleep(0.5)
        return False

    def _rests(self) -> bool:
        """Whether nobody is there, and all that is counted is in the audit's files."""
        metrics = self._gateway.metrics()
        rows = [
            ledger.Row("present = none", metrics.of("connections"), 0),
            *ledger.of_counters(metrics),
            ledger.of_clients(metrics, self.crowd.counts)[0],
            ledger.of_audit(metrics, ledger.Audited(self._world.audit))[0],
        ]
        self._open = [row for row in rows if not row.equal]
        return not self._open

    # --- what it holds ----------------------------------------------------------------------------

    def _held(self) -> dict[str, tuple[int, int]]:
        return {name: (shown(descriptors, pid), threads(pid)) for name, pid in self.pids.items()}

    def _sample(self) -> None:
        for name, pid in self.pids.items():
            try:
                one = Sample(
                    shown(descriptors, pid),
                    threads(pid),
                    resident_bytes(pid),
                    shown(pss_bytes, pid),
                )
            except OSError:  # the process is gone; the pids are compared at the end
                continue
            self.samples[name].append(one)
            mib = f"{one.rss / 2**20:7.1f} {one.pss / 2**20:7.1f}"
            stamp = time.strftime("%H:%M:%S")
            print(f"{stamp} {name:<12}{one.descriptors:>6}{one.threads:>5} {mib}", flush=True)

    def _flat(self, before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> bool:
        """Prints the table of each process."""
        found = {one["name"]: int(one["pid"]) for one in self._gateway.status()["processes"]}
        flat = {"supervisor": self._gateway.process.pid, **found} == self.pids
        if not flat:
            print(f"a process was started again: {found}, not {self.pids}")
        hidden = [name for name, rows in self.samples.items() if not any(row.pss for row in rows)]
        if hidden:
            print("descriptors, PSS: not shown to this user, nor judged:", *hidden)
        print(f"\n{'process':<12}{'what':<14}{'2nd third':>12}{'last third':>12}")
        workers = [rows for name, rows in self.samples.items() if name.startswith("worker")]
        both = [sum(row.descriptors for row in rows) for rows in zip(*workers, strict=False)]
        for row in thirds([Sample(count, 0, 0, 0) for count in both])[:1]:
            flat &= row.flat
            print(f"{'workers':<12}{row}")
        for name, samples in self.samples.items():
            for row in thirds(samples):
                # Which worker has how many clients is the kernel's choice.
                if row.what != "descriptors" or not name.startswith("worker"):
                    flat &= row.flat
                    print(f"{name:<12}{row}")
            flat &= before[name] == after[name]
            same = "" if before[name] == after[name] else "  NOT THE SAME"
            print(f"{name:<12}{'at rest':<14}{before[name]!s:>12}{after[name]!s:>12}{same}")
        return flat

    # --- what it has counted ----------------------------------------------------------------------

    def _balances(self) -> bool:
        metrics, seen = self._gateway.metrics(), self.crowd.counts
        staying = self._given.staying + self._given.slow
        rows = [
            *ledger.of_counters(metrics),
            *ledger.of_clients(metrics, seen),
            *ledger.of_audit(metrics, ledger.Audited(self._world.audit)),
            *ledger.of_usage(self._world.audit, seen, staying),
            ledger.Row("clients and changes that failed = none", seen["failed"], 0),
            ledger.Row("errors in the log = none", self._gateway.lines().count("Traceback"), 0),
        ]
        print()
        for row in rows:
            print(row)
        tell(metrics, seen, self.changes)
        return all(row.equal for row in rows)


class Third(NamedTuple):
    """Medians of what a process held in the second and in the last third of the time."""

    what: str
    second: float
    last: float

    @property
    def flat(self) -> bool:
        return self.last <= self.second + slack(self.what, self.second)

    def __str__(self) -> str:
        shown = f"{shape(self.what, self.second):>12}{shape(self.what, self.last):>12}"
        return f"{self.what:<14}{shown}{'' if self.flat else '  GROWS'}"


def thirds(samples: list[Sample]) -> list[Third]:
    """Of each figure, without the first minute; none of a run that is too short to say."""
    kept = samples[FIRST:]
    third = len(kept) // 3
    if third < FIRST // 2:
        return []
    return [
        Third(what, *(statistics.median(row[at] for row in part) for part in parts))
        for parts in [(kept[third : 2 * third], kept[2 * third :])]
        for at, what in enumerate(Sample._fields)
    ]


def slack(what: str, value: float) -> float:
    """How much more is the same."""
    if what in ("rss", "pss"):
        return max(value * SHARE, BYTES)
    return max(value * FD_SHARE, FDS) if what == "descriptors" else 0


def shape(what: str, value: float) -> str:
    return f"{value / 2**20:,.1f} MiB" if what in ("rss", "pss") else f"{value:,.0f}"


def tell(metrics: Metrics, seen: Counter[str], changes: int) -> None:
    """What there was."""
    codes = {key[5:]: count for key, count in sorted(seen.items()) if key.startswith("code ")}
    result = {
        key[1:]: int(value)
        for name in ("auth_total", "handshakes_total", "tls_handshakes_total", "recordings_total")
        for key, value in metrics.items()
        if key[0] == f"tickgate_{name}" and value
    }
    print(f"\n{changes} changes; closes that clients saw: {codes}")
    print("; ".join(f"{' '.join(key)}: {count:,}" for key, count in result.items()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--per-s", type=float, default=100, help="clients that come")
    parser.add_argument("--change-s", type=float, default=5, help="from one change to the next")
    parser.add_argument("--staying", type=int, default=20)
    parser.add_argument("--slow", type=int, default=20)
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = World(directory)
        log = directory / "log"
        gateway = stack.enter_context(serving(log, *world.sets(), config=world.config))
        flat, balances = uvloop.run(Soak(gateway, world, given).run())
        print(f"{'FLAT' if flat else 'GROWS'}, {'BALANCES' if balances else 'DOES NOT BALANCE'}")
        if not (flat and balances):
            print(gateway.lines()[-4000:], file=sys.stderr)
    sys.exit(0 if flat and balances else 1)


if __name__ == "__main__":
    main()
