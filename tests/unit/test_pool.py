import asyncio
import functools
import random
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from loopback import completion, serving

from mira.errors import UserError
from mira.teacher.endpoint import CallError
from mira.teacher.pool import open_pool
from mira.teacher.settings import TeacherSettings

LIMIT_S = 60


@dataclass
class Server:
    """Answers with the status and headers it has at the moment; ``gate`` holds answers back.

    ``bodies`` are in the order in which they came, ``times`` when; ``most`` is the largest number
    of calls at once.
    """

    status: int = 200
    alive: bool = True
    headers: dict = field(default_factory=dict)
    usage: dict = field(default_factory=lambda: {"prompt_tokens": 9, "completion_tokens": 1})

    def __post_init__(self):
        self.bodies, self.times = [], []
        self.now = self.most = self.probes = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def chat(self, request):
        self.times.append(time.monotonic())
        self.bodies.append((await request.read()).decode())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
        finally:
            self.now -= 1
        reply = completion(self.bodies[-1], **self.usage)
        return web.json_response(reply, status=self.status, headers=self.headers)

    async def models(self, request):
        self.probes += 1
        return web.json_response({}, status=200 if self.alive else 503)


def in_loop(test):
    """Run a test in an event loop; what hangs, fails."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        async def limited():
            async with asyncio.timeout(LIMIT_S):
                await test(*args, **kwargs)

        asyncio.run(limited())

    return run


@asynccontextmanager
async def pool_of(*servers, **changes):
    """A pool over servers of one's own; ``pool.urls`` are theirs."""
    async with asyncio.TaskGroup() as group:
        stop, urls = asyncio.Event(), []

        async def serve(server, started):
            async with serving(server.chat, server.models) as url:
                started.set_result(url)
                await stop.wait()

        for server in servers:
            started = asyncio.get_running_loop().create_future()
            group.create_task(serve(server, started))
            urls.append(await started)
        options = {"model": "m", "timeout_s": 30.0, "concurrency": 8, **changes}
        settings = TeacherSettings(base_urls=tuple(urls), **options)
        try:
            async with open_pool(settings, probe_s=0.05, failing_s=0) as pool:
                pool.urls = urls
                yield pool
        finally:
            stop.set()


def start(pool, *names, tokens=10):
    """Calls as tasks; their bodies are the names."""
    return [asyncio.create_task(pool.complete(str(n).encode(), tokens)) for n in names]


async def failures(pool, count, reason="server_error"):
    """So many calls, one after the other, that fail."""
    for number in range(count):
        with pytest.raises(CallError) as caught:
            await pool.complete(f"fails {number}".encode(), 10)
        assert caught.value.reason == reason


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def a_while():
    """Long enough for a call that should not be sent to be sent."""
    await asyncio.sleep(0.15)


async def cancel(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# --- slots --------------------------------------------------------------------------------------


@in_loop
async def test_slots_are_shared_by_all_endpoints():
    servers = [Server(), Server(), Server()]
    for server in servers:
        server.gate.clear()
    async with pool_of(*servers, concurrency=7) as pool:
        tasks = start(pool, *range(30))
        await until(lambda: sum(server.now for server in servers) == 7)
        await a_while()
        assert sorted(server.now for server in servers) == [2, 2, 3]
        for server in servers:
            server.gate.set()
        await asyncio.gather(*tasks)
    assert all(server.most <= 7 for server in servers)
    assert sorted(int(body) for server in servers for body in server.bodies) == [*range(30)]


@in_loop
async def test_whoever_waits_longer_goes_first():
    server = Server()
    async with pool_of(server, concurrency=1) as pool:
        tasks = start(pool, *range(20))
        await until(lambda: len(server.bodies) > 5)
        tasks += start(pool, *range(20, 30))
        await asyncio.gather(*tasks)
    assert server.bodies == [str(number) for number in range(30)]


@in_loop
async def test_calls_go_to_the_endpoint_with_the_fewest():
    slow, fast = Server(), Server()
    slow.gate.clear()
    async with pool_of(fast, slow, concurrency=4) as pool:
        held = start(pool, "a", "b")
        await held[0]
        await until(lambda: slow.now == 1)
        for number in range(20):
            await pool.complete(str(number).encode(), 10)
        assert (len(slow.bodies), len(fast.bodies)) == (1, 21)
        slow.gate.set()
        await asyncio.gather(*held)
        for number in range(20):
            await pool.complete(str(number).encode(), 10)
    assert len(slow.bodies) >= 10, "among equally loaded ones, to the one that was asked less"


@in_loop
async def test_a_call_says_when_it_is_sent():
    server, sent = Server(), []
    server.gate.clear()
    async with pool_of(server, concurrency=1) as pool:
        tasks = [
            asyncio.create_task(pool.complete(b"x", 1, on_send=lambda n=n: sent.append(n)))
            for n in range(3)
        ]
        await until(lambda: server.now == 1)
        assert sent == [0]
        server.gate.set()
        await asyncio.gather(*tasks)
    assert sent == [0, 1, 2]


@in_loop
async def test_cancelled_calls_give_their_slots_back():
    """Whether they wait, have just been given a slot, or are in flight."""
    server, rng = Server(), random.Random(3)
    async with pool_of(server, concurrency=4, requests_per_minute=10**6) as pool:
        for number in range(150):
            tasks = start(pool, *range(rng.randint(1, 12)))
            for _ in range(rng.randint(0, 6)):
                await asyncio.sleep(0)
            if number % 3 == 0:
                await until(lambda: len(server.bodies) > 0)
            await cancel(rng.sample(tasks, rng.randint(1, len(tasks))))
            if number % 2:
                await asyncio.gather(*tasks, return_exceptions=True)
            else:
                await cancel(tasks)
        server.gate.clear()
        await until(lambda: server.now == 0)
        tasks = start(pool, *range(9))
        await until(lambda: server.now == 4)
        server.gate.set()
        await asyncio.gather(*tasks)


@in_loop
async def test_a_slot_given_to_a_cancelled_call_goes_to_the_next_with_its_tokens():
    server = Server(usage={})
    server.gate.clear()
    async with pool_of(server, concurrency=1, tokens_per_minute=60) as pool:

        async def ask_and_cancel_the_next():
            await pool.complete(b"first", 0)
            second.cancel()  # it has been given the slot and has not run since

        first = asyncio.create_task(ask_and_cancel_the_next())
        await until(lambda: server.now == 1)
        [second], [third] = start(pool, "second", tokens=10**6), start(pool, "third", tokens=1)
        await a_while()
        server.gate.set()
        await first
        assert (await third).text == "third" and second.cancelled()
    assert server.bodies == ["first", "third"]


# --- limits -------------------------------------------------------------------------------------


def assert_paced(times, per_s, burst):
    """In no window more calls than the rate and one burst; arrivals may be a little late."""
    late = 0.1
    for i, start_time in enumerate(times):
        for j, end in enumerate(times[i:]):
            assert j + 1 <= (end - start_time + late) * per_s + burst + 1


@in_loop
async def test_requests_per_minute_are_kept():
    server = Server()
    async with pool_of(server, requests_per_minute=600) as pool:
        await asyncio.gather(*start(pool, *range(20)))
    assert_paced(server.times, 10, 10)
    assert server.bodies == [str(number) for number in range(20)]


@in_loop
async def test_tokens_per_minute_are_kept():
    server = Server(usage={"prompt_tokens": 400, "completion_tokens": 100})
    async with pool_of(server, tokens_per_minute=120_000) as pool:
        await asyncio.gather(*start(pool, *range(9), tokens=500))
    assert_paced(server.times, 4, 4)


@in_loop
async def test_tokens_that_calls_did_not_use_hold_nobody_up():
    """Each of these calls may use what takes a week to come back."""
    server = Server()
    async with pool_of(server, tokens_per_minute=6_000) as pool:
        for status in (200, 500, 429, 400, 200):
            server.status = status
            with suppress(CallError):
                await pool.complete(b"x", 10**8)
    assert len(server.bodies) == 5


@in_loop
async def test_limits_in_headers_are_kept():
    server = Server(headers={"x-ratelimit-limit-requests": "600"})
    async with pool_of(server) as pool:
        await pool.complete(b"x", 10)
        await asyncio.gather(*start(pool, *range(20)))
    assert_paced(server.times[1:], 10, 10)


@in_loop
async def test_the_other_endpoint_is_asked_while_one_pauses():
    pausing, other = Server(), Server()
    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h"}
    pausing.headers = used_up
    async with pool_of(pausing, other) as pool:
        for number in range(10):
            await pool.complete(str(number).encode(), 10)
        other.headers = used_up
        await pool.complete(b"last", 10)
        waiting = start(pool, "waits")
        await a_while()
        assert not waiting[0].done() and (len(pausing.bodies), len(other.bodies)) == (1, 10)
        await cancel(waiting)


@in_loop
async def test_a_429_pauses_and_halves_but_is_no_failure():
    server = Server(status=429, headers={"retry-after": "0.3"})
    async with pool_of(server, concurrency=8) as pool:
        results = await asyncio.gather(*start(pool, *range(8)), return_exceptions=True)
        assert {(e.reason, e.wait_s, e.billed) for e in results} == {("rate_limited", 0.3, False)}
        refused_at = time.monotonic()
        server.status, server.headers, server.most = 200, {}, 0
        server.gate.clear()
        tasks = start(pool, *range(8))
        await until(lambda: server.now == 4)
        await a_while()
        assert server.now == 4
        server.gate.set()
        await asyncio.gather(*tasks)
        assert server.times[8] - refused_at > 0.2
        assert server.probes == 0
        await asyncio.gather(*start(pool, *range(40)))
        server.gate.clear()
        tasks = start(pool, *range(8))
        await until(lambda: server.now == 8)  # replies have let it rise again
        server.gate.set()
        await asyncio.gather(*tasks)


@in_loop
async def test_a_small_call_does_not_overtake_a_large_one():
    server = Server(usage={"prompt_tokens": 5_999, "completion_tokens": 1})
    async with pool_of(server, tokens_per_minute=360_000) as pool:
        await pool.complete(b"first", 6_000)
        await asyncio.gather(*start(pool, "large", tokens=6_000), *start(pool, "small", tokens=1))
    assert server.bodies == ["first", "large", "small"]


# --- drain and recovery -------------------------------------------------------------------------


@in_loop
async def test_an_endpoint_that_fails_is_asked_nothing_until_it_answers_again(caplog):
    caplog.set_level("INFO", "mira.teacher.pool")
    server = Server(status=500, alive=False)
    async with pool_of(server, concurrency=3) as pool:
        await failures(pool, 3)
        tasks = start(pool, *range(6))
        await until(lambda: server.probes >= 2)
        assert len(server.bodies) == 3, "calls wait"
        server.gate.clear()
        server.alive, server.status = True, 200
        await until(lambda: server.now == 1)
        await a_while()
        assert server.now == 1, "one call tries it"
        server.gate.set()
        await asyncio.gather(*tasks)
        server.gate.clear()
        tasks = start(pool, *range(6))
        await until(lambda: server.now == 3)
        server.gate.set()
        await asyncio.gather(*tasks)
    out, back = (record.message for record in caplog.records)
    assert out.startswith(f"{pool.urls[0]} is out after 3 failures in a row, the last: server_er")
    assert back.startswith(f"{pool.urls[0]} is back after ")


@in_loop
async def test_failures_that_are_not_in_a_row_do_not_put_it_out():
    server = Server()
    async with pool_of(server) as pool:
        for status in (500, 500, 200, 500, 500, 400, 500, 500, 429, 500, 500):
            server.status = status
            with suppress(CallError):
                await pool.complete(b"x", 10)
        server.status = 200
        await pool.complete(b"x", 10)
    assert server.probes == 0


@in_loop
async def test_a_trial_that_fails_sends_it_out_again():
    server = Server(status=500)
    async with pool_of(server) as pool:
        await failures(pool, 3)
        await failures(pool, 2)
        assert server.probes == 2 and server.most == 1
        server.status = 200
        await pool.complete(b"x", 10)
    assert server.probes == 3


@in_loop
async def test_a_cancelled_trial_leaves_the_next_one_to_try():
    server = Server(status=500)
    async with pool_of(server) as pool:
        await failures(pool, 3)
        server.gate.clear()
        trial, waiting = start(pool, "trial", "next")
        await until(lambda: server.now == 1)
        server.status = 200
        await cancel([trial])
        server.gate.set()
        assert (await waiting).text == "next"


@in_loop
async def test_all_calls_go_to_the_others_while_one_is_out():
    bad, good = Server(status=503, alive=False), Server()
    async with pool_of(bad, good) as pool:
        while len(bad.bodies) < 3:
            with suppress(CallError):
                await pool.complete(b"x", 10)
        for number in range(20):
            await pool.complete(str(number).encode(), 10)
        assert len(bad.bodies) == 3
        bad.status, bad.alive = 200, True
        while len(bad.bodies) < 10:
            await pool.complete(b"x", 10)


@in_loop
async def test_answers_that_are_no_completions_put_an_endpoint_out_too():
    """Else a quick login page in front of one endpoint would draw all calls to itself."""

    class Portal(Server):
        async def chat(self, request):
            self.bodies.append(await request.read())
            return web.Response(text="<title>Log in</title>")

    portal, good = Portal(alive=False), Server()
    async with pool_of(portal, good) as pool:
        results = [
            (await asyncio.gather(*start(pool, "x"), return_exceptions=True))[0] for _ in range(20)
        ]
    assert sum(isinstance(result, CallError) for result in results) == len(portal.bodies) == 3


@in_loop
async def test_calls_in_flight_finish_on_an_endpoint_that_is_out_and_bring_it_back():
    server = Server(alive=False)
    server.gate.clear()
    async with pool_of(server, concurrency=4) as pool:
        [in_flight] = start(pool, "in flight")
        await until(lambda: server.now == 1)
        held, server.gate = server.gate, asyncio.Event()
        server.gate.set()
        server.status = 500
        await failures(pool, 3)
        [waiting] = start(pool, "waits")
        await a_while()
        assert not waiting.done() and not in_flight.done()
        server.status = 200
        held.set()
        await asyncio.gather(in_flight, waiting)
        assert not server.alive, "no probe brought it back"
        server.alive = True
        await asyncio.sleep(0.6)
        server.gate.clear()
        tasks = start(pool, *range(4))
        await until(lambda: server.now == 4)  # and none makes it wait for a trial again
        server.gate.set()
        await asyncio.gather(*tasks)


@in_loop
async def test_when_no_endpoint_has_answered_for_too_long_everyone_is_told():
    servers = [Server(status=500, alive=False), Server(status=503, alive=False)]
    async with pool_of(*servers, max_outage_s=0.5) as pool:
        began = time.monotonic()
        await failures(pool, 6)
        waiting = start(pool, *range(5))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert time.monotonic() - began > 0.4
        assert all(isinstance(error, UserError) for error in results)
        message = str(results[0])
        for url, status in zip(pool.urls, ("500", "503"), strict=True):
            assert f"{url}: server_error: {status}" in message
        for words in ("0.5 s", "teacher.max_outage_s", "journal", "start again", "\n"):
            assert (words in message) is (words != "\n")
        with pytest.raises(UserError, match="No endpoint of the teacher"):
            await pool.complete(b"x", 10)
    assert len(servers[0].bodies) == len(servers[1].bodies) == 3


@in_loop
async def test_an_endpoint_that_is_alive_but_answers_no_call_is_an_outage_too():
    server = Server(status=500)
    async with pool_of(server, max_outage_s=0.5) as pool:
        with pytest.raises(UserError, match="No endpoint"):
            while True:
                with suppress(CallError):
                    await pool.complete(b"x", 10)


@in_loop
async def test_an_outage_that_ends_in_time_costs_nothing():
    server = Server(status=500, alive=False)
    async with pool_of(server, max_outage_s=30.0) as pool:
        await failures(pool, 3)
        tasks = start(pool, *range(10))
        await until(lambda: server.probes >= 3)
        server.status, server.alive = 200, True
        await asyncio.gather(*tasks)
    assert len(server.bodies) == 13


@in_loop
async def test_an_endpoint_that_can_be_tried_waits_for_a_call_however_long():
    dead, revived = Server(status=500, alive=False), Server(status=500)
    async with pool_of(dead, revived, max_outage_s=0.2) as pool:
        await failures(pool, 6)
        await until(lambda: dead.probes > 1 and revived.probes == 1)
        await asyncio.sleep(0.4)
        revived.status = 200
        await pool.complete(b"x", 10)


@in_loop
async def test_an_outage_begins_when_the_last_endpoint_goes_out():
    early, late = Server(status=500, alive=False), Server(alive=False)
    async with pool_of(early, late, max_outage_s=1.5) as pool:
        while len(early.bodies) < 3:
            with suppress(CallError):
                await pool.complete(b"x", 10)
        await asyncio.sleep(1.6)
        late.status = 500
        await failures(pool, 3)
        waiting = start(pool, "waits")
        await a_while()
        assert not waiting[0].done()
        await cancel(waiting)


@in_loop
async def test_nobody_listening_is_an_outage():
    async with serving(Server().chat) as url:
        pass
    settings = TeacherSettings(base_urls=(url,), model="m", max_outage_s=0.3)
    async with open_pool(settings, probe_s=0.05, failing_s=0) as pool:
        await failures(pool, 3, "connection")
        with pytest.raises(UserError, match=f"{url}: connection: Cannot connect"):
            await pool.complete(b"x", 10)


@pytest.mark.parametrize("status", [401, 404])
def test_a_misconfigured_endpoint_among_others_is_said_at_once(status):
    @in_loop
    async def test():
        async with pool_of(Server(), Server(status=status)) as pool:
            results = await asyncio.gather(*start(pool, "a", "b"), return_exceptions=True)
            [error] = [result for result in results if isinstance(result, Exception)]
            assert isinstance(error, UserError) and pool.urls[1] in str(error)

    test()


@in_loop
async def test_urls_that_cannot_be_used_leave_nothing_open(recwarn):
    settings = TeacherSettings(base_urls=("http://127.0.0.1:1/v1", "nowhere"), model="m")
    with pytest.raises(UserError, match="nowhere"):
        async with open_pool(settings):
            pass
    assert not recwarn.list


@in_loop
async def test_a_burst_of_failures_puts_nobody_out(caplog):
    async with pool_of(Server(status=500)) as pool:
        settings = TeacherSettings(base_urls=tuple(pool.urls), model="m")
        async with open_pool(settings, failing_s=60) as patient:
            await failures(patient, 10)
    assert "is out" not in caplog.text
