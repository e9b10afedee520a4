import { IDLE_STATE } from '@humancast/protocol';

/**
 * Lua scripts that keep a session consistent under concurrent updates. The KEYS of a session share a slot: 1 record (hash),
 * 2 queue (hash seq → segment), 3 viewers (hash), 4 events (stream), 5 commands (hash), 6 IDs of events about viewers
 * (list), 7 followers (hash sender → time of joining), 8 placements (sorted set of `SENDER/VIEWER`, all with score 0). A
 * script that rejects its input returns the error code as a string.
 *
 * Each script runs in constant time, or in time bounded by `SESSION_QUEUE_LIMIT`, {@link PLACEMENT_BATCH} or the number of viewers
 * that speak, because Redis serves nobody else meanwhile and no lease may expire.
 */

/**
 * Flag of scripts that end, free or fence something, or renew a lease: they run even when `maxmemory` is reached, because
 * otherwise no memory could be freed. What they add is bounded (an event stream has {@link EVENT_LIMIT} entries).
 */
export const ALWAYS = '#!lua flags=allow-oom\n';
/** Flag of scripts that accept something new, which are rejected when `maxmemory` is reached. */
const WHILE_ROOM = '#!lua\n';

/** Number of events kept for readers that reconnect, plus up to {@link TRIM_STEP}. */
const EVENT_LIMIT = 2000;
/** Number of events trimmed at once, which makes looking up the last trimmed one cheap. */
const TRIM_STEP = 100;
/**
 * Number of kept events that may be about viewers or messages. Viewers create those by reconnecting and by their messages, and
 * must not displace `speech.finished`.
 */
const VIEWER_EVENT_LIMIT = 500;

/**
 * `append(body)` adds an event, `emit(body)` also wakes readers; both take the JSON of the event's body. The record keeps
 * the IDs of the last trimmed event (`missed`) and of the last trimmed one about a viewer (`missedViewers`): a reader that
 * continues before either has missed events and is told so.
 */
const EMIT = `
local function append(body)
  local id = redis.call('XADD', KEYS[4], '*', 'e', body, 'at', now)
  if (string.sub(body, 1, 16) == '{"type":"viewer.' or string.sub(body, 1, 24) == '{"type":"session.message') and redis.call('RPUSH', KEYS[6], id) > ${VIEWER_EVENT_LIMIT} then
    local oldest = redis.call('LPOP', KEYS[6])
    if redis.call('XDEL', KEYS[4], oldest) == 1 then redis.call('HSET', KEYS[1], 'missedViewers', oldest) end
  end
  local over = redis.call('XLEN', KEYS[4]) - ${EVENT_LIMIT}
  if over >= ${TRIM_STEP} then
    local trimmed = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', over)
    redis.call('XTRIM', KEYS[4], 'MAXLEN', ${EVENT_LIMIT})
    redis.call('HSET', KEYS[1], 'missed', trimmed[over][1])
  end
end
local function wake() redis.call('PUBLISH', channel, '1') end
local function emit(body)
  append(body)
  wake()
end
`;

/**
 * Number of queued segments left to a host that may be starting them at this instant without having reported it yet; only
 * the host knows whether they were heard.
 */
const LEFT_TO_HOST = 4;

/**
 * `retire(through, hosted)` removes all segments up to that sequence number from the queue and reports each as finished,
 * exactly once, because `finished` reports only what it removes. For a hosted session, the playing segment and the next
 * {@link LEFT_TO_HOST} stay, and their host reports them. Returns the number of segments that stay.
 */
const RETIRE = `
local function retire(through, hosted)
  local seqs = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[2])) do
    local seq = tonumber(field)
    if seq <= through then table.insert(seqs, seq) end
  end
  if #seqs == 0 then return 0 end
  table.sort(seqs)
  local started = tonumber(redis.call('HGET', KEYS[1], 'startedSeq') or 0)
  local playhead = cjson.decode(redis.call('HGET', KEYS[1], 'playhead') or '{}')
  local kept, waiting = 0, 0
  for _, seq in ipairs(seqs) do
    if seq > started then waiting = waiting + 1 end
    if hosted and waiting <= ${LEFT_TO_HOST} then
      kept = kept + 1
    else
      local position = 0
      if playhead.seq == seq then position = math.floor(playhead.positionSamples / 48) end
      local reason = seq <= started and 'interrupted' or 'dropped'
      local segment = redis.call('HGET', KEYS[2], seq)
      redis.call('HDEL', KEYS[2], seq)
      append(cjson.encode({type = 'speech.finished', seq = seq, segment = segment, positionMs = position, interrupted = true, reason = reason}))
    end
  end
  wake()
  return math.min(kept, ${LEFT_TO_HOST} + 1)
end
`;

/**
 * `currentTurn()` returns the session's turn, the number of accepted interruptions. `isStale()` tells whether the caller's
 * turn is over: the local `stated` is its turn, or '' for the current one. `nextTurn(seq)` accepts an interruption of
 * everything queued up to that sequence number and reports it, so that whoever makes speech stops, also while nothing is
 * queued; the local `viewer` is whose voice interrupts, or ''. Returns the new turn.
 */
const TURNS = `
local function currentTurn() return tonumber(redis.call('HGET', KEYS[1], 'turn') or 0) end
local function isStale() return stated ~= '' and tonumber(stated) ~= currentTurn() end
local function nextTurn(seq)
  local turn = redis.call('HINCRBY', KEYS[1], 'turn', 1)
  redis.call('HSET', KEYS[1], 'interrupted', seq)
  local event = {type = 'session.interrupted', interruptedSeq = seq, turn = turn}
  if key ~= '' then event.idempotencyKey = key end
  if viewer ~= '' then event.viewer = viewer end
  emit(cjson.encode(event))
  return turn
end
`;

/**
 * `speaks(viewer, isSpeaking)` keeps the set of viewers that speak in the record. `silence(atMs)` reports the end of the speech
 * of all of them, because nobody else can once their host is gone.
 */
const SPEAKERS = `
local function speakers() return cjson.decode(redis.call('HGET', KEYS[1], 'speakers') or '{}') end
local function speaks(viewer, isSpeaking)
  local all = speakers()
  all[viewer] = isSpeaking or nil
  if next(all) then redis.call('HSET', KEYS[1], 'speakers', cjson.encode(all))
  else redis.call('HDEL', KEYS[1], 'speakers') end
end
local function silence(atMs)
  for viewer in pairs(speakers()) do
    append('{"type":"viewer.silent","viewer":' .. cjson.encode(viewer) .. ',"saidAtMs":' .. atMs .. '}')
  end
  redis.call('HDEL', KEYS[1], 'speakers')
end
`;

/** Number of commands per session whose answers are kept for callers that lost them. */
const COMMAND_LIMIT = 128;

/**
 * `replay()` returns the previous answer to the command, an error code if its key was used for a different request, or nil.
 * `remember(answer)` stores an answer together with the effect; the oldest of {@link COMMAND_LIMIT} is dropped. Fields are
 * `key:KEY`, and a ring of keys `0` … with its counter `n`. Uses the locals `now`, `key` ('' = none), `fingerprint` and
 * `ttl` (ms).
 */
const ONCE = `
local function replay()
  if key == '' then return nil end
  local row = redis.call('HGET', KEYS[5], 'key:' .. key)
  if not row then return nil end
  local known = cjson.decode(row)
  if tonumber(now) - known.at > ttl then return nil end
  if known.fingerprint ~= fingerprint then return 'idempotency_key_reused' end
  return known.answer
end
local function remember(answer)
  if key == '' then return end
  local slot = redis.call('HINCRBY', KEYS[5], 'n', 1) % ${COMMAND_LIMIT}
  local oldest = redis.call('HGET', KEYS[5], slot)
  if oldest then redis.call('HDEL', KEYS[5], 'key:' .. oldest) end
  redis.call('HSET', KEYS[5], slot, key, 'key:' .. key, cjson.encode({at = tonumber(now), fingerprint = fingerprint, answer = answer}))
  redis.call('PEXPIRE', KEYS[5], ttl)
end
`;

/** `redisMs()` returns ms since the Unix epoch by the clock of Redis, the only one that all hosts share. */
const REDIS_MS = `
local function redisMs()
  local time = redis.call('TIME')
  return string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
end
`;

/**
 * Number of placements that a script reads. A placement counts only if the viewer's record names the same media-sender: a
 * previous version rewrites and removes records without their placements.
 */
const PLACEMENT_BATCH = 500;

/** `servedAt(record)` returns the media-sender that serves a viewer: the follower it was placed on, else the host, else ''. */
const SERVED_AT = `
local function servedAt(record) return record.sender or redis.call('HGET', KEYS[1], 'host') or '' end
`;

/**
 * `placements(sender)` returns the first placements on a media-sender. IDs contain no `/`, after which the next character
 * is `0`.
 */
const PLACEMENTS = `
local function placements(sender)
  return redis.call('ZRANGE', KEYS[8], '[' .. sender .. '/', '(' .. sender .. '0', 'BYLEX', 'LIMIT', 0, ${PLACEMENT_BATCH})
end
`;

/** Time for which the record of an ended session is kept, for late readers. */
const LINGER_SECONDS = 60;

export const SCRIPTS = {
  /**
   * Creates a session. ARGV: now, avatar, demo, owner ('' = none), fingerprint of the request ('' = none), bargeIn. Returns 2 if
   * created, 1 if the same request was repeated, 0 if the ID is taken.
   */
  create: `${WHILE_ROOM}if redis.call('EXISTS', KEYS[1]) == 1 then
  if ARGV[5] == '' then return 0 end
  return redis.call('HGET', KEYS[1], 'request') == ARGV[5] and 1 or 'idempotency_key_reused'
end
redis.call('HSET', KEYS[1], 'avatar', ARGV[2], 'state', 'new', 'epoch', 0, 'seq', 0, 'interrupted', 0, 'turn', 0, 'createdAt', ARGV[1], 'demo', ARGV[3], 'bargeIn', ARGV[6])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'owner', ARGV[4]) end
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'request', ARGV[5]) end
return 2`,

  /**
   * Requests a host. ARGV: now, retryMs. Returns the epoch to add a job for, or 0 if the session has a host or a pending
   * job. A session queued for longer than retryMs is requested again under the same epoch, because the previous caller may
   * have died before adding the job.
   */
  requestHost: `${ALWAYS}local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
if state == 'hosted' then return 0 end
if state == 'queued' then
  if tonumber(ARGV[1]) - tonumber(redis.call('HGET', KEYS[1], 'queuedAt')) < tonumber(ARGV[2]) then return 0 end
  redis.call('HSET', KEYS[1], 'queuedAt', ARGV[1])
  return tonumber(redis.call('HGET', KEYS[1], 'epoch'))
end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'state', 'queued', 'queuedAt', ARGV[1])
return epoch`,

  /** Handles a job that was taken but never claimed. ARGV: now, epoch. Returns the next epoch, or 0 if it was claimed. */
  supersede: `${ALWAYS}if redis.call('HGET', KEYS[1], 'state') ~= 'queued' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'queuedAt', ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'epoch', 1)`,

  /**
   * Claims the right to host. ARGV: now, epoch, host, channel. Returns 1, or 0 if that epoch is over. Repeated by the same
   * host after a lost answer, it returns 1. For the new host nobody speaks yet.
   */
  claim: `${ALWAYS}local now, channel = ARGV[1], ARGV[4]
${EMIT}${RETIRE}${REDIS_MS}${SPEAKERS}
local state = redis.call('HGET', KEYS[1], 'state')
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then return 0 end
local from = redis.call('HGET', KEYS[1], 'host')
if state == 'hosted' and from == ARGV[3] then return 1 end
if state ~= 'queued' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'hosted', 'host', ARGV[3], 'claimedAt', redisMs())
redis.call('HDEL', KEYS[1], 'said')
retire(tonumber(redis.call('HGET', KEYS[1], 'interrupted')), false)
silence(now)
if from then emit(cjson.encode({type = 'session.moved', from = from, host = ARGV[3], epoch = tonumber(ARGV[2])}))
else emit(cjson.encode({type = 'session.hosted', host = ARGV[3], epoch = tonumber(ARGV[2])})) end
return 1`,

  /**
   * Resumes hosting after heartbeats had failed. ARGV: epoch, host. Returns 1, or 0 if the session was taken over.
   * Resumptions are counted, so that a process that found the host dead earlier can no longer take the session.
   */
  resume: `${ALWAYS}if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'host') ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'resumptions', 1)
return 1`,

  /**
   * Revokes the right to host from a dead host, or releases it. ARGV: now, host, epoch ('' = any), resumptions ('' = any).
   * Returns the next epoch to add a job for, or 0 if it was not (or no longer) the host, or has resumed.
   */
  release: `${ALWAYS}if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'host') ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' and redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[3] then return 0 end
if ARGV[4] ~= '' and (redis.call('HGET', KEYS[1], 'resumptions') or '0') ~= ARGV[4] then return 0 end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'state', 'queued', 'queuedAt', ARGV[1])
return epoch`,

  /**
   * Queues segments, unless their turn is over. With interrupt, everything queued before is dropped from the queue
   * immediately, and a new turn begins. ARGV: now, channel, key, fingerprint, ttl, turn ('' = the current one), limit,
   * interrupt, segment… Returns {first seq, interruptedSeq, turn, host or ''}, with a first seq of 0 if the turn is over.
   */
  speak: `${WHILE_ROOM}
local now, channel, key, fingerprint, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local stated, limit, interrupt, viewer = ARGV[6], tonumber(ARGV[7]), ARGV[8] == '1', ''
${EMIT}${RETIRE}${ONCE}${TURNS}
local answer = replay()
if type(answer) == 'string' then return answer end
local host = redis.call('HGET', KEYS[1], 'host') or ''
if answer then return {answer[1], answer[2], answer[3] or currentTurn(), host} end
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
if isStale() then return {0, 0, currentTurn(), ''} end
local count = #ARGV - 8
if count > limit then return 'queue_full' end
local seq = tonumber(redis.call('HGET', KEYS[1], 'seq'))
if interrupt then
  nextTurn(seq)
  local kept = retire(seq, state == 'hosted')
  limit = limit + kept
end
if redis.call('HLEN', KEYS[2]) + count > limit then return 'queue_full' end
for i = 1, count do redis.call('HSET', KEYS[2], seq + i, ARGV[i + 8]) end
redis.call('HSET', KEYS[1], 'seq', seq + count)
local interrupted = tonumber(redis.call('HGET', KEYS[1], 'interrupted'))
remember({seq + 1, interrupted, currentTurn()})
return {seq + 1, interrupted, currentTurn(), host}`,

  /**
   * Drops everything queued so far and begins a new turn, unless the caller's turn is over. ARGV: now, channel, key,
   * fingerprint, ttl, turn ('' = the current one), viewer ('' = none). Returns {interruptedSeq, turn, host or ''}, with an interruptedSeq of -1
   * if the turn is over.
   */
  interrupt: `${ALWAYS}
local now, channel, key, fingerprint, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local stated, viewer = ARGV[6], ARGV[7]
${EMIT}${RETIRE}${ONCE}${TURNS}
local answer = replay()
if type(answer) == 'string' then return answer end
local host = redis.call('HGET', KEYS[1], 'host') or ''
if answer then return {answer[1], answer[2] or currentTurn(), host} end
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
if isStale() then return {-1, currentTurn(), ''} end
local seq = tonumber(redis.call('HGET', KEYS[1], 'seq'))
local turn = nextTurn(seq)
retire(seq, state == 'hosted')
remember({seq, turn})
return {seq, turn, host}`,

  /**
   * Appends a message between a page and producers. ARGV: now, channel, key, fingerprint, ttl, body. Returns 1.
   */
  message: `${WHILE_ROOM}
local now, channel, key, fingerprint, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
${EMIT}${ONCE}
local answer = replay()
if type(answer) == 'string' then return answer end
if answer then return 1 end
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
emit(ARGV[6])
remember({1})
return 1`,

  /**
   * Sets the idle state, unless the caller's turn is over, and reports it if it is another one. ARGV: now, channel, turn ('' =
   * the current one), state. Returns {1, or 0 if the turn is over, turn, host or ''}.
   */
  setState: `${ALWAYS}local now, channel, stated, key, viewer = ARGV[1], ARGV[2], ARGV[3], '', ''
${EMIT}${TURNS}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
if isStale() then return {0, currentTurn(), ''} end
if (redis.call('HGET', KEYS[1], 'idleState') or '${IDLE_STATE}') ~= ARGV[4] then
  redis.call('HSET', KEYS[1], 'idleState', ARGV[4])
  emit(cjson.encode({type = 'session.state', state = ARGV[4]}))
end
return {1, currentTurn(), redis.call('HGET', KEYS[1], 'host') or ''}`,

  /**
   * Appends an event of the host. ARGV: now, channel, epoch, body, number ('' = none), viewer that begins or ceases to speak
   * ('' = none), 1 if it begins. Returns 1, or 0 if the epoch is over. Numbers increase within an epoch; one that was written is
   * not written again.
   */
  emit: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}${SPEAKERS}
if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[3] then return 0 end
if ARGV[5] ~= '' then
  if tonumber(redis.call('HGET', KEYS[1], 'said') or 0) >= tonumber(ARGV[5]) then return 1 end
  redis.call('HSET', KEYS[1], 'said', ARGV[5])
end
if ARGV[6] ~= '' then speaks(ARGV[6], ARGV[7] == '1') end
emit(ARGV[4])
return 1`,

  /**
   * Reports the start of a queued segment. ARGV: now, channel, epoch, body, seq. It is reported once, even if a new host
   * resumes the segment, and never after it was reported as dropped.
   */
  started: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}
if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[3] then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'startedSeq') or 0) >= tonumber(ARGV[5]) then return 1 end
if redis.call('HEXISTS', KEYS[2], ARGV[5]) == 0 then return 1 end
redis.call('HSET', KEYS[1], 'startedSeq', ARGV[5])
emit(ARGV[4])
return 1`,

  /** Removes a finished segment from the queue and reports it, atomically. ARGV as for `started`. */
  finished: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}
if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[3] then return 0 end
if redis.call('HDEL', KEYS[2], ARGV[5]) == 1 then emit(ARGV[4]) end
return 1`,

  /** ARGV: epoch, playhead (a non-empty JSON object). */
  savePlayhead: `${ALWAYS}${REDIS_MS}
if redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'playhead', string.sub(ARGV[2], 1, -2) .. ',"savedAtMs":' .. redisMs() .. '}')
return 1`,

  /**
   * Adds a viewer, or the next attempt of an existing one, which stays with its media-sender. ARGV: viewer, limit, mailbox,
   * joinedAt, offer, traceparent. Returns {attempt, follower or host or ''}.
   */
  putViewer: `${WHILE_ROOM}${SERVED_AT}local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
local before = redis.call('HGET', KEYS[3], ARGV[1])
local record = {viewer = ARGV[1], mailbox = ARGV[3], attempt = 1, joinedAtMs = tonumber(ARGV[4])}
if before then
  local known = cjson.decode(before)
  record.attempt = known.attempt + 1
  record.sender = known.sender
elseif redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[2]) then return 'viewer_limit' end
if ARGV[5] ~= '' then record.offer = ARGV[5] end
if ARGV[6] ~= '' then record.traceparent = ARGV[6] end
if ARGV[7] == '1' then record.microphone = true end
redis.call('HSET', KEYS[3], ARGV[1], cjson.encode(record))
return {record.attempt, servedAt(record)}`,

  /**
   * Changes the mailbox of a viewer, whose connection stays. ARGV: viewer, mailbox. Returns {found, follower or host
   * or '', previous mailbox}.
   */
  moveViewer: `${ALWAYS}${SERVED_AT}local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
if state == 'ended' then return 'session_ended' end
local before = redis.call('HGET', KEYS[3], ARGV[1])
if not before then return {0, '', ''} end
local record = cjson.decode(before)
local from = record.mailbox
record.mailbox = ARGV[2]
redis.call('HSET', KEYS[3], ARGV[1], cjson.encode(record))
return {1, servedAt(record), from}`,

  /**
   * Changes the ICE user name fragment of a WHEP viewer. ARGV: viewer, previous fragment, next fragment. Returns {changed,
   * follower or host or ''}; nothing is changed if another restart came first.
   */
  restartViewerIce: `${ALWAYS}${SERVED_AT}local before = redis.call('HGET', KEYS[3], ARGV[1])
if not before then return {0, ''} end
local record = cjson.decode(before)
if record.iceUfrag and record.iceUfrag ~= ARGV[2] then return {0, ''} end
record.iceUfrag = ARGV[3]
redis.call('HSET', KEYS[3], ARGV[1], cjson.encode(record))
return {1, servedAt(record)}`,

  /**
   * Removes a viewer. ARGV: viewer, mailbox ('' = any), epoch ('' = not called by the host), attempt ('' = any), sender ('' =
   * not called by a follower). Nothing is removed if the viewer has moved to another mailbox or media-sender, or made another
   * attempt since. Returns {removed, follower or host or '', 0 if called by a host whose epoch is over}.
   */
  removeViewer: `${ALWAYS}${SERVED_AT}
local host = redis.call('HGET', KEYS[1], 'host') or ''
if ARGV[3] ~= '' and (redis.call('HGET', KEYS[1], 'state') ~= 'hosted' or redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[3]) then return {0, host, 0} end
local before = redis.call('HGET', KEYS[3], ARGV[1])
if not before then return {0, host, 1} end
local record = cjson.decode(before)
local at = servedAt(record)
if ARGV[2] ~= '' and record.mailbox ~= ARGV[2] then return {0, at, 1} end
if ARGV[3] ~= '' and at ~= host then return {0, at, 1} end
if ARGV[4] ~= '' and record.attempt ~= tonumber(ARGV[4]) then return {0, at, 1} end
if ARGV[5] ~= '' and record.sender ~= ARGV[5] then return {0, at, 1} end
redis.call('HDEL', KEYS[3], ARGV[1])
if record.sender then redis.call('ZREM', KEYS[8], record.sender .. '/' .. ARGV[1]) end
return {1, at, 1}`,

  /**
   * Places a viewer on a media-sender, which follows the session from now on unless it hosts it. ARGV: now, viewer, attempt,
   * sender. Nothing is changed if the viewer is gone, has made another attempt or is placed elsewhere. Returns {placed, host
   * or '', epoch}.
   */
  placeViewer: `${ALWAYS}
local host = redis.call('HGET', KEYS[1], 'host') or ''
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
local before = redis.call('HGET', KEYS[3], ARGV[2])
if not before then return {0, host, epoch} end
local record = cjson.decode(before)
if record.attempt ~= tonumber(ARGV[3]) or (record.sender and record.sender ~= ARGV[4]) then return {0, host, epoch} end
if not record.sender and (host ~= ARGV[4] or redis.call('HGET', KEYS[1], 'state') ~= 'hosted') then
  record.sender = ARGV[4]
  redis.call('HSET', KEYS[3], ARGV[2], cjson.encode(record))
end
if record.sender then
  redis.call('ZADD', KEYS[8], 0, ARGV[4] .. '/' .. ARGV[2])
  redis.call('HSETNX', KEYS[7], ARGV[4], ARGV[1])
end
return {1, host, epoch}`,

  /**
   * Takes up to {@link PLACEMENT_BATCH} viewers from a follower, which each need a new connection, and thus another attempt;
   * without any left, it no longer follows. ARGV: sender. Returns {viewers taken, host or '', 1 if there may be more}.
   */
  unplaceViewers: `${ALWAYS}${PLACEMENTS}
local taken = 0
local places = placements(ARGV[1])
for _, place in ipairs(places) do
  local viewer = string.sub(place, #ARGV[1] + 2)
  local before = redis.call('HGET', KEYS[3], viewer)
  local record = before and cjson.decode(before) or {}
  if record.sender == ARGV[1] then
    record.sender = nil
    record.attempt = record.attempt + 1
    redis.call('HSET', KEYS[3], viewer, cjson.encode(record))
    taken = taken + 1
  end
  redis.call('ZREM', KEYS[8], place)
end
local more = #places == ${PLACEMENT_BATCH} and 1 or 0
if more == 0 then redis.call('HDEL', KEYS[7], ARGV[1]) end
return {taken, redis.call('HGET', KEYS[1], 'host') or '', more}`,

  /**
   * Ends following a session, unless a viewer is still placed there. ARGV: sender. Returns {left, host or ''}.
   */
  leaveSession: `${ALWAYS}${PLACEMENTS}
local host = redis.call('HGET', KEYS[1], 'host') or ''
local places = placements(ARGV[1])
for _, place in ipairs(places) do
  local before = redis.call('HGET', KEYS[3], string.sub(place, #ARGV[1] + 2))
  if before and cjson.decode(before).sender == ARGV[1] then return {0, host} end
  redis.call('ZREM', KEYS[8], place)
end
if #places == ${PLACEMENT_BATCH} then return {0, host} end
redis.call('HDEL', KEYS[7], ARGV[1])
return {1, host}`,

  /** Appends an event of a follower. ARGV: now, channel, sender, body. Returns 1, or 0 if it does not follow the session or that has ended. */
  emitFollowed: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}
if redis.call('HGET', KEYS[1], 'state') == 'ended' or redis.call('HEXISTS', KEYS[7], ARGV[3]) == 0 then return 0 end
emit(ARGV[4])
return 1`,

  /**
   * Removes a deleted segment from the queue and reports each of its occurrences, the playing one at the position its host
   * last reported. ARGV: now, channel, segment. Returns {occurrences, host or ''}.
   */
  dropSegment: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}
local queue = redis.call('HGETALL', KEYS[2])
local seqs = {}
for i = 1, #queue, 2 do
  if queue[i + 1] == ARGV[3] then table.insert(seqs, tonumber(queue[i])) end
end
table.sort(seqs)
local started = tonumber(redis.call('HGET', KEYS[1], 'startedSeq') or 0)
local playhead = cjson.decode(redis.call('HGET', KEYS[1], 'playhead') or '{}')
for _, seq in ipairs(seqs) do
  local position = 0
  if playhead.seq == seq then position = math.floor(playhead.positionSamples / 48) end
  local reason = seq <= started and 'failed' or 'dropped'
  redis.call('HDEL', KEYS[2], seq)
  append(cjson.encode({type = 'speech.finished', seq = seq, segment = ARGV[3], positionMs = position, interrupted = true, reason = reason, cause = 'segment_deleted'}))
end
if #seqs > 0 then wake() end
return {#seqs, redis.call('HGET', KEYS[1], 'host') or ''}`,

  /**
   * Ends the session. ARGV: now, channel, reason, epoch ('' = any caller). Queued segments are reported as dropped, the
   * playing one as interrupted at the position its host last reported. Returns {ended by this call, host or '', followers}.
   */
  end: `${ALWAYS}local now, channel = ARGV[1], ARGV[2]
${EMIT}${RETIRE}${SPEAKERS}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 'session_not_found' end
local host = redis.call('HGET', KEYS[1], 'host') or ''
local followers = redis.call('HKEYS', KEYS[7])
if state == 'ended' then return {0, host, followers} end
if ARGV[4] ~= '' and redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[4] then return {0, host, followers} end
retire(tonumber(redis.call('HGET', KEYS[1], 'seq')), false)
silence(now)
redis.call('HSET', KEYS[1], 'state', 'ended', 'endReason', ARGV[3])
emit(cjson.encode({type = 'session.ended', reason = ARGV[3]}))
redis.call('DEL', KEYS[2])
redis.call('UNLINK', KEYS[3])
redis.call('EXPIRE', KEYS[1], ${LINGER_SECONDS})
redis.call('EXPIRE', KEYS[4], ${LINGER_SECONDS})
redis.call('EXPIRE', KEYS[5], ${LINGER_SECONDS})
redis.call('DEL', KEYS[6])
redis.call('UNLINK', KEYS[8])
redis.call('EXPIRE', KEYS[7], ${LINGER_SECONDS})
return {1, host, followers}`,
} as const;

export type ScriptName = keyof typeof SCRIPTS;
