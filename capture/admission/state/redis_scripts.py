"""The steps of the state as Lua scripts, each of which Redis runs as a whole. Numbers in Lua are
doubles, so money is in units of 1e-10 USD: Redis adds it up in 64-bit integers, and Lua only
compares it.

Keys, all in one slot of a cluster:
    call:{id}     what a running call holds, and in which sums; "" once it has ended
    leases        running calls, by the time in µs at which they count as lost
    limit:…       the times of the last calls in µs, newest first
    budget:…      hash: spent, held, and since: when `spent` was taken from the ledger, in µs

A call is lost when its lease has run out, because its process was killed or is cut off. What it
held then counts as spent, until it is settled after all.
"""

from __future__ import annotations

_COMMON = """
local a = cmsgpack.unpack(ARGV[1])
local PREFIX = '{agentledger}:'
local LEASES = PREFIX .. 'leases'
local DAY_US, WINDOW_US = 86400e6, 60e6
local KEPT_S = 86400  -- how long records of the past stay: a call may still be settled

-- tostring() would write 1e+15
local function text(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = a.now_us or time[1] * 1e6 + time[2]
local today = math.floor(now / DAY_US)

local function call_key(id) return PREFIX .. 'call:' .. id end

local function sum_key(account, day)
  return PREFIX .. 'budget:' .. account.budget .. ':' .. (account.daily and text(day) or '')
    .. ':' .. account.key
end

-- `usd` is text; with a minus sign it is subtracted. A sum that is missing is not created: it will
-- be taken from the ledger anew. (Redis does not accept -0.)
local function add(key, field, usd)
  if usd == '0' or usd == '-0' then return end
  if redis.call('EXISTS', key) == 1 and redis.call('HINCRBY', key, field, usd) < 0 then
    redis.call('HSET', key, field, '0')
  end
end

local function set_expiry(key, daily)
  if daily then
    redis.call('EXPIRE', key, text(math.ceil((today + 1) * 86400 - now / 1e6) + KEPT_S))
  elseif a.idle_s > 0 then
    redis.call('EXPIRE', key, a.idle_s)
  else
    redis.call('PERSIST', key)
  end
end

local function read(id)
  local record = redis.call('GET', call_key(id))
  if record and record ~= '' then return cmsgpack.unpack(record), true end
  return nil, record == ''
end

local function write(id, record)
  redis.call('SET', call_key(id), cmsgpack.pack(record), 'EX', KEPT_S)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', text(now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', LEASES, id)
  local record = read(id)
  if record then
    for _, sum in ipairs(record.sums) do
      add(sum.key, 'held', '-' .. record.usd)
      add(sum.key, 'spent', record.usd)
    end
    record.lost = true
    write(id, record)
  end
end
"""

# Returns {'limited', index of the limit, µs to wait}, {'unknown', today, indexes of accounts…} or
# {'reached' or 'admitted', today, spent, held, …}. Indexes count from 1.
ADMIT = (
    _COMMON
    + """
-- After the clock of Redis was set back, times in the future become the present.
local function follow_clock(key)
  local newest = redis.call('LINDEX', key, 0)
  if newest and tonumber(newest) > now then
    local times = redis.call('LRANGE', key, 0, -1)
    redis.call('DEL', key)
    for _, at in ipairs(times) do redis.call('RPUSH', key, text(at - newest + now)) end
    redis.call('PEXPIRE', key, text(WINDOW_US / 1e3))
  end
end
for _, limit in ipairs(a.limits) do follow_clock(PREFIX .. limit.key) end
local latest = now + a.lease_us
local after = '(' .. text(latest)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, after, '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', LEASES, text(latest), id)
end

local wait, worst = 0, 0
for i, limit in ipairs(a.limits) do
  local nth = redis.call('LINDEX', PREFIX .. limit.key, limit.n - 1)
  if nth and nth + WINDOW_US - now > wait then
    wait, worst = nth + WINDOW_US - now, i
  end
end
if worst > 0 then return {'limited', worst, text(wait)} end

local unknown, reply, sums, is_reached = {'unknown', today}, {'', today}, {}, false
for i, account in ipairs(a.accounts) do
  local key = sum_key(account, today)
  -- A seed that was looked up for yesterday does not hold for today.
  local seed = a.begin_at_0 and '0' or (a.today == today or not account.daily) and account.seed
  if seed then
    if redis.call('HSETNX', key, 'spent', seed) == 1 then
      redis.call('HSET', key, 'held', '0', 'since', text(now))
      set_expiry(key, account.daily)
    end
  end
  local known = redis.call('HMGET', key, 'spent', 'held')
  if not known[1] then
    unknown[#unknown + 1] = i
  else
    reply[#reply + 1] = known[1]
    reply[#reply + 1] = known[2]
    sums[#sums + 1] = {key = key, limit = account.limit, daily = account.daily}
    is_reached = is_reached or known[1] + known[2] >= tonumber(account.limit)
  end
end
if #unknown > 2 then return unknown end
if is_reached and a.blocks then
  reply[1] = 'reached'
  return reply
end

for _, limit in ipairs(a.limits) do
  local key = PREFIX .. limit.key
  redis.call('LPUSH', key, text(now))
  redis.call('LTRIM', key, 0, limit.n - 1)
  redis.call('PEXPIRE', key, text(WINDOW_US / 1e3))
end
if #sums > 0 then
  for _, sum in ipairs(sums) do
    add(sum.key, 'held', a.usd)
    set_expiry(sum.key, sum.daily)
  end
  write(a.id, {usd = a.usd, sums = sums, lost = false})
  redis.call('ZADD', LEASES, text(now + a.lease_us), a.id)
end
reply[1] = 'admitted'
return reply
"""
)

# Returns 1 if the call holds `usd` now; 0 if too little is left for that.
EXTEND = (
    _COMMON
    + """
local record = read(a.id)
if not record then return 1 end
local more = text(a.usd - record.usd)
if a.blocks then
  for _, sum in ipairs(record.sums) do
    local known = redis.call('HMGET', sum.key, 'spent', 'held')
    if known[1] and known[1] + known[2] + more > tonumber(sum.limit) then return 0 end
  end
end
for _, sum in ipairs(record.sums) do add(sum.key, record.lost and 'spent' or 'held', more) end
record.usd = a.usd
write(a.id, record)
return 1
"""
)

# A call that was admitted while Redis was unavailable holds nothing. Its cost is added all the
# same, unless the sum was taken from the ledger after the call had ended.
SETTLE = (
    _COMMON
    + """
local record, is_known = read(a.id)
if record then
  for _, sum in ipairs(record.sums) do
    add(sum.key, record.lost and 'spent' or 'held', '-' .. record.usd)
    add(sum.key, 'spent', a.usd)
    set_expiry(sum.key, sum.daily)
  end
  redis.call('ZREM', LEASES, a.id)
elseif not is_known then
  local ended = now - a.age_us
  for _, account in ipairs(a.accounts) do
    local key = sum_key(account, math.floor(ended / DAY_US))
    local since = redis.call('HGET', key, 'since')
    if since and tonumber(since) < ended then add(key, 'spent', a.usd) end
  end
end
redis.call('SET', call_key(a.id), '', 'EX', 120)
return 1
"""
)

RENEW = (
    _COMMON
    + """
for _, id in ipairs(a.ids) do
  if redis.call('ZADD', LEASES, 'XX', 'CH', text(now + a.lease_us), id) == 1 then
    redis.call('EXPIRE', call_key(id), KEPT_S)
  end
end
return 1
"""
)

SEED = (
    _COMMON
    + """
for _, seed in ipairs(a.seeds) do
  local key = sum_key(seed, seed.day)
  if redis.call('HSETNX', key, 'spent', seed.usd) == 1 then
    redis.call('HSET', key, 'held', '0', 'since', text(now))
    set_expiry(key, seed.daily)
  end
end
return 1
"""
)

# Returns {today, spent, held (or '', '' for an unknown sum), …, calls used, µs until the first of
# them leaves the window (or ''), …}.
STANDING = (
    _COMMON
    + """
local reply = {today}
for _, account in ipairs(a.accounts) do
  local known = redis.call('HMGET', sum_key(account, today), 'spent', 'held')
  reply[#reply + 1] = known[1] or ''
  reply[#reply + 1] = known[2] or ''
end
for _, limit in ipairs(a.limits) do
  local key = PREFIX .. limit.key
  local low, high = 0, math.min(redis.call('LLEN', key), limit.n)  -- newest first
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('LINDEX', key, middle) + WINDOW_US > now then
      low = middle + 1
    else
      high = middle
    end
  end
  reply[#reply + 1] = low
  reply[#reply + 1] = low > 0 and text(redis.call('LINDEX', key, low - 1) + WINDOW_US - now) or ''
end
return reply
"""
)
