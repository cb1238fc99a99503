// Runs a batch over Yakin's admin API and follows it to its end, by live events where they come and by asking where they
// do not. Node 18 or newer, no packages.
//
//   YAKIN_TOKEN=yakin_… node trigger-and-follow.mjs tenant-usage-aggregation '{"targetDate": "2026-10-30"}'
//
// YAKIN_URL        the node or the proxy before it; http://127.0.0.1:8640 unless set
// YAKIN_TOKEN      an operator's token: yakin token create NAME --role operator
// IDEMPOTENCY_KEY  under the same key a repeated call starts no second run; job and parameters unless set
// FOLLOW           events (unless set) or poll
//
// Exit code: 0 when the run succeeded, 3 when it ended partial, 1 otherwise; 2 when it was called wrongly.

import { createHash } from 'node:crypto';

const url = (process.env.YAKIN_URL ?? 'http://127.0.0.1:8640').replace(/\/$/, '');
const token = process.env.YAKIN_TOKEN;
const [job, given = '{}'] = process.argv.slice(2);
const patience = 30_000; // ms without a byte: the server says something at least every 15 s
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

if (!token || !job) {
  console.error('expected: YAKIN_TOKEN=… node trigger-and-follow.mjs JOB [PARAMETERS]');
  process.exit(2);
}

/** A problem that was answered; the same call would be answered so again. */
class Refused extends Error {}

async function call(path, { headers, ...options } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    let answer;
    try {
      answer = await fetch(url + path, {
        signal: AbortSignal.timeout(35_000),
        ...options,
        headers: { authorization: `Bearer ${token}`, ...headers },
      });
      if (answer.ok) return await answer.json();
    } catch (error) {
      // nothing came back: whether the call was heard is not known, and the key makes it harmless to ask again
      if (attempt === 5) throw error;
    }
    if (answer) {
      const problem = await answer.json().catch(() => ({ title: answer.statusText, detail: '' }));
      const again = answer.status === 429 || answer.status === 503;
      if (!again || attempt === 5) throw new Refused(`${answer.status} ${problem.title}: ${problem.detail}`);
    }
    await pause(1000 * Number(answer?.headers.get('retry-after') ?? attempt));
  }
}

/** Server-sent events, one by one, until the connection ends. */
async function* events(lastId) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), patience);
  try {
    const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' };
    if (lastId !== undefined) headers['last-event-id'] = lastId;
    const answer = await fetch(`${url}/admin/batch/events`, { headers, signal: stop.signal });
    if (!answer.ok) throw new Refused(`${answer.status} for events`);
    const utf8 = new TextDecoder();
    let text = '';
    yield { kind: 'open' };
    for await (const bytes of answer.body) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), patience);
      text += utf8.decode(bytes, { stream: true });
      const whole = text.split('\n\n');
      text = whole.pop();
      for (const block of whole) {
        const event = { kind: 'message', data: '' };
        for (const line of block.split('\n')) {
          const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
          if (field === 'id') event.id = value;
          if (field === 'event') event.kind = value;
          if (field === 'data') event.data += value;
        }
        if (event.data) yield event;
      }
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

let shown = '';

/** Looks at the run, prints what is new, and says whether it has ended. */
async function look(run) {
  const now = await call(`/admin/batch/runs/${run}`);
  const { tenants_done: done, tenants_failed: failed, tenants_blocked: blocked, tenants_total: total } = now;
  const parts = [now.outcome ?? now.state, now.waiting_for ?? now.phase, total && `${done}/${total} tenants done`];
  if (failed) parts.push(`${failed} failed`);
  if (blocked) parts.push(`${blocked} blocked`);
  if (now.reason) parts.push(now.reason);
  const line = `run ${run}: ${parts.filter(Boolean).join(', ')}`;
  if (line !== shown) console.log(line);
  shown = line;
  return now.state === 'ended' ? now.outcome : undefined;
}

async function poll(run) {
  for (let wait = 250; ; wait = Math.min(wait * 2, 5000)) {
    const outcome = await look(run);
    if (outcome) return outcome;
    await pause(wait);
  }
}

async function follow(run) {
  let last;
  for (let broken = 0; broken < 5; ) {
    try {
      for await (const event of events(last)) {
        last = event.id ?? last;
        // once the stream is open nothing is missed; a reset says that something was
        const concerns = event.kind === 'open' || event.kind === 'reset' || JSON.parse(event.data).data.run_id === run;
        const outcome = concerns ? await look(run) : undefined;
        if (outcome) return outcome;
        broken = 0;
      }
    } catch (error) {
      if (error instanceof Refused) break;
    }
    broken += 1;
    await pause(1000 * broken);
  }
  console.log('no live events; asking every few seconds');
  return poll(run);
}

try {
  const body = JSON.stringify({ parameters: JSON.parse(given) });
  const key = process.env.IDEMPOTENCY_KEY ?? createHash('sha256').update(job + body).digest('hex');
  const started = await call(`/admin/batch/jobs/${encodeURIComponent(job)}/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body,
  });
  console.log(`run ${started.runId} of ${started.batchId}${started.repeated ? ', started before under this key' : ''}`);
  const outcome = await (process.env.FOLLOW === 'poll' ? poll : follow)(started.runId);
  process.exitCode = { succeeded: 0, partial: 3 }[outcome] ?? 1;
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = error instanceof SyntaxError ? 2 : 1;
}
