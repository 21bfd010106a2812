import asyncio

from mira.teacher.runway import Runway


def run(main):
    asyncio.run(asyncio.wait_for(main(), 10))


def test_a_quarter_more_than_are_sent_is_held_ready():
    async def main():
        runway = Runway(8)
        calls = [asyncio.create_task(runway.enter()) for _ in range(30)]
        await asyncio.sleep(0.01)
        assert sum(call.done() for call in calls) == 10
        runway.leave(replied=False)
        await asyncio.sleep(0.01)
        assert [call.done() for call in calls] == [True] * 11 + [False] * 19
        for call in calls:
            call.cancel()

    run(main)


def test_fast_replies_let_more_be_held_until_they_are_old():
    async def main():
        now = [0.0]
        runway = Runway(8, clock=lambda: now[0])
        for _ in range(10):
            await runway.enter()
        calls = [asyncio.create_task(runway.enter()) for _ in range(30)]
        await asyncio.sleep(0.01)
        for _ in range(5):
            runway.leave(replied=True)
        await asyncio.sleep(0.01)
        assert sum(call.done() for call in calls) == 10
        now[0] = 1.0
        for _ in range(6):
            runway.leave(replied=False)
        await asyncio.sleep(0.01)
        assert sum(call.done() for call in calls) == 11
        for call in calls:
            call.cancel()

    run(main)


def test_a_cancelled_wait_takes_no_place():
    async def main():
        runway = Runway(1)
        for _ in range(2):
            await runway.enter()
        given_up, next_one = (asyncio.create_task(runway.enter()) for _ in range(2))
        await asyncio.sleep(0)
        runway.leave(replied=False)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await asyncio.wait_for(next_one, 1)

    run(main)
