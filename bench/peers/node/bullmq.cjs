// BullMQ as the bench drives it: enqueue, delay, send, and work between "ready" and the end of stdin.
'use strict';
const { Queue, Worker } = require('bullmq');

const CHUNK = 1000;
const [act, port, ...rest] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };
const options = { removeOnComplete: true, removeOnFail: true };
const monotonic = () => Number(process.hrtime.bigint());
const say = (line) => process.stdout.write(`${line}\n`);

// Hands over `jobs` jobs in chunks.
async function enqueue(queue, jobs, opts) {
  const begun = monotonic();
  for (let first = 0; first < jobs; first += CHUNK) {
    const length = Math.min(CHUNK, jobs - first);
    await queue.addBulk(Array.from({ length }, () => ({ name: 'noop', data: { sent: 0 }, opts })));
  }
  say(JSON.stringify({ seconds: (monotonic() - begun) / 1e9 }));
}

// One job every 1000 / rate ms.
async function send(queue, rate, seconds) {
  const begun = monotonic();
  for (let n = 0; n < rate * seconds; n += 1) {
    const wait = (n * 1e9) / rate - (monotonic() - begun);
    if (wait > 0) await new Promise((go) => setTimeout(go, wait / 1e6));
    await queue.add('noop', { sent: monotonic() }, options);
  }
  say('{}');
}

async function work() {
  const seen = { started: 0, latencies: [] };
  let wanted = Infinity;
  const handle = async (job) => {
    const at = monotonic();
    seen.started += 1;
    if (job.data.sent > 0) seen.latencies.push(at - job.data.sent);
  };
  const worker = new Worker('bench', handle, { connection, concurrency: 500, autorun: false });
  let completed = 0;
  worker.on('completed', () => {
    completed += 1;
    if (completed === wanted) say('done');
  });
  await worker.waitUntilReady();
  let text = '';
  process.stdin.on('data', (data) => {
    text += data;
    const go = /^go (\d+)\n/.exec(text);
    if (!go || worker.isRunning()) return;
    wanted = Number(go[1]);
    worker.run();
  });
  process.stdin.on('end', () => {
    say(JSON.stringify(seen));
    process.exit(0);
  });
  say('ready');
}

async function main() {
  if (act === 'work') return work();
  const queue = new Queue('bench', { connection });
  if (act === 'enqueue') await enqueue(queue, Number(rest[0]), options);
  if (act === 'delay') {
    const delay = Number(rest[1]) - Date.now();
    await enqueue(queue, Number(rest[0]), { ...options, delay });
  }
  if (act === 'send') await send(queue, Number(rest[0]), Number(rest[1]));
  return queue.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
