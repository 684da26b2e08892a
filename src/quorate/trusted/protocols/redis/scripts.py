"""The few scripts that the coordinator itself runs on replicas: fixed, deterministic, blind to every clock.

Each opens with a line naming it, so that a store without Lua can recognise it and do the same natively. Deadlines that
replicas hold are absolute milliseconds plus `DEADLINE_OFFSET_MS`, so far away that no replica's own clock reaches them.
"""

from hashlib import sha1

# A thousand years: no replica's clock gets there, and deadlines stay far below 2**53, where Lua's numbers end.
DEADLINE_OFFSET_MS = 31_556_952_000_000

REAP = b"""-- quorate reap 1: KEYS, deadline. Delete each key whose deadline is not later; return how many were deleted.
local deleted = 0
for _, key in ipairs(KEYS) do
  local deadline = redis.call('PEXPIRETIME', key)
  if deadline >= 0 and deadline <= tonumber(ARGV[1]) then
    deleted = deleted + redis.call('DEL', key)
  end
end
return deleted
"""

LOCK_RELEASE = b"""-- quorate lock-release 1: key, token. Delete the key if it holds the token; return 1, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

LOCK_EXTEND = b"""-- quorate lock-extend 1: key, token, milliseconds, replace (0 or 1), now plus offset. Return 1 or 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local deadline = redis.call('PEXPIRETIME', KEYS[1])
if deadline < 0 then return 0 end
if ARGV[3] ~= '0' then deadline = tonumber(ARGV[4]) end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', deadline + tonumber(ARGV[2])))
return 1
"""

LOCK_REACQUIRE = b"""-- quorate lock-reacquire 1: key, token, milliseconds, now plus offset. Return 1, or 0 if not held.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(ARGV[3]) + tonumber(ARGV[2])))
return 1
"""


def digest(script: bytes) -> bytes:
    """The name under which a server keeps `script`: lower-case hexadecimal SHA-1 of its text."""
    return sha1(script, usedforsecurity=False).hexdigest().encode()
