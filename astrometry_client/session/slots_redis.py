"""Slots kept in Redis: shared by every machine that reaches it."""

from collections.abc import Callable
from typing import Any, Final

import attrs

from astrometry_client.session.slots import (
    FORGET_AT_ONCE,
    LATE_S,
    MAX_PENALTY_S,
    Slot,
    StoreUnusable,
    Window,
)

_SCRIPT: Final = """
local key, step = KEYS[1], ARGV[1]
local max_penalty_s, forget_at_once = tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = tonumber(ARGV[2]) or time[1] + time[2] / 1000000
local kept = redis.call('HMGET', key, 'count', 'oldest', 'longest_s', 'blocked_until', 'seen')
local count, oldest = tonumber(kept[1] or 0), tonumber(kept[2] or 1)
local longest_s, blocked_until, seen = tonumber(kept[3] or 0), tonumber(kept[4] or 0), tonumber(kept[5] or 0)

local function at(number)
    local value = redis.call('HGET', key, 'slot ' .. number)
    return value and tonumber(value) or nil
end
local function write(number, value)
    redis.call('HSET', key, 'slot ' .. number, string.format('%.17g', value))
end
local function drop(number)
    redis.call('HDEL', key, 'slot ' .. number)
end

local function settle()
    blocked_until = math.min(blocked_until, math.max(now, seen) + max_penalty_s)
    local last = at(count) or 0
    local possible = math.max(now, seen, blocked_until) + longest_s * (count - oldest + 2)
    local ahead = math.max(seen - now, last > possible and last - now or 0)
    if ahead > 0 then
        for number = oldest, count do
            local value = at(number)
            if value then write(number, value - ahead) end
        end
        blocked_until = blocked_until - ahead
    end
    seen = now
end

local function give_back(number, weight)
    if number ~= count then return end
    for passed = number - weight + 1, number do drop(passed) end
    count = count - weight
    oldest = math.min(oldest, count + 1)
end

local function forget()
    for _ = 1, math.min(forget_at_once, count - oldest) do
        local value = at(oldest)
        if value and value + longest_s > now then return end
        drop(oldest)
        oldest = oldest + 1
    end
end

-- windows: ARGV[first], ARGV[first + 1]: limit and spacing of the first, and so on
local function take(weight, latest, first)
    local free = math.max(now, blocked_until, at(count) or 0)
    for i = first, #ARGV, 2 do
        local earlier = at(count + weight - tonumber(ARGV[i]))
        if earlier then free = math.max(free, earlier + tonumber(ARGV[i + 1])) end
    end
    if free > latest then return nil end
    for _ = 1, weight do
        count = count + 1
        write(count, free)
    end
    for i = first, #ARGV, 2 do longest_s = math.max(longest_s, tonumber(ARGV[i + 1])) end
    forget()
    return count, free
end

local function penalize(seconds)
    local starts = now + math.min(seconds, max_penalty_s)
    local first, first_at = count + 1, nil
    while first > oldest do
        local value = at(first - 1)
        if not value or value <= now then break end
        first, first_at = first - 1, value
    end
    local shift = first_at and starts - first_at or 0
    if shift > 0 then
        for number = first, count do write(number, at(number) + shift) end
    end
    blocked_until = math.max(blocked_until, starts)
end

settle()
local number, free
if step == 'reserve' then
    number, free = take(tonumber(ARGV[5]), now + tonumber(ARGV[6]), 7)
elseif step == 'confirm' then
    local mine, weight = tonumber(ARGV[5]), tonumber(ARGV[6])
    local latest, late_s = tonumber(ARGV[7]), tonumber(ARGV[8])
    local value = at(mine)
    if value and (value > now or (now <= value + late_s and now >= blocked_until)) then
        if value <= latest then
            number, free = mine, value
        else
            give_back(mine, weight)
        end
    else
        give_back(mine, weight)
        number, free = take(weight, latest, 9)
    end
elseif step == 'give_back' then
    give_back(tonumber(ARGV[5]), tonumber(ARGV[6]))
elseif step == 'penalize' then
    penalize(tonumber(ARGV[5]))
end
local function text(value) return string.format('%.17g', value) end
redis.call('HSET', key, 'count', count, 'oldest', oldest, 'longest_s', text(longest_s),
    'blocked_until', text(blocked_until), 'seen', text(seen))
local last = math.max(now, blocked_until, at(count) or 0)
redis.call('EXPIRE', key, math.ceil(last - now + longest_s) + 1)
if number then return {text(number), text(free), text(now)} end
return {}
"""
"""The steps of `slots.py`, once more in Lua: Redis runs a script with nobody else in between.

Numbers go in and out as text, since Redis cuts the fraction off a number a script returns.
"""

_FOREVER_S: Final = 1e12


class RedisSlots:
    """Slots of all machines that use the same Redis, by its clock.

    Parameters
    ----------
    redis
        A `redis.Redis` client, yours to close. Without a `socket_timeout`
        a silent server holds everybody up.
    prefix
        Starts the key of every budget.
    clock
        Replaces the time of the server in tests.
    """

    def __init__(
        self,
        redis: Any,
        *,
        prefix: str = "astrometry-client:rate:",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._prefix = prefix
        self._script = redis.register_script(_SCRIPT)

    def reserve(self, name: str, windows: tuple[Window, ...], weight: int, max_wait_s: float) -> Slot | None:
        """Take the next free slot; see `slots.reserve`."""
        reply = self._run(name, "reserve", weight, min(max_wait_s, _FOREVER_S), *_flat(windows))
        if not reply:
            return None
        number, at, now = reply
        return Slot(int(number), at, now, weight, now + max_wait_s)

    def confirm(self, name: str, windows: tuple[Window, ...], slot: Slot) -> Slot | None:
        """Return where a slot stands now; see `slots.confirm`."""
        latest = min(slot.latest, _FOREVER_S)
        reply = self._run(name, "confirm", slot.number, slot.weight, latest, LATE_S, *_flat(windows))
        if not reply:
            return None
        number, at, now = reply
        return attrs.evolve(slot, number=int(number), at=at, now=now)

    def give_back(self, name: str, slot: Slot) -> None:
        """Return a slot that will not be used."""
        self._run(name, "give_back", slot.number, slot.weight)

    def penalize(self, name: str, seconds: float) -> None:
        """Move every slot not used yet behind a pause that starts now."""
        self._run(name, "penalize", seconds)

    def close(self) -> None:
        """Release nothing: the client belongs to whoever made it."""

    def _run(self, name: str, step: str, *arguments: float) -> list[float]:
        from redis import RedisError

        now = "" if self._clock is None else self._clock()
        try:
            common = (step, now, MAX_PENALTY_S, FORGET_AT_ONCE)
            reply = self._script(keys=[self._prefix + name], args=[*common, *arguments])
        except (RedisError, OSError) as error:
            raise StoreUnusable(f"Redis: {error}") from error
        return [float(value) for value in reply]


def _flat(windows: tuple[Window, ...]) -> list[float]:
    return [number for window in windows for number in (window.limit, window.spacing_s)]
