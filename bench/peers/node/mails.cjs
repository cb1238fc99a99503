// COUNT mails through nodemailer's pool to a relay on this machine: PORT COUNT.
'use strict';
const nodemailer = require('nodemailer');

const [port, count] = process.argv.slice(2).map(Number);
const transport = nodemailer.createTransport({
  pool: true,
  host: '127.0.0.1',
  port,
  secure: false,
  ignoreTLS: true,
  maxConnections: 5,
  maxMessages: Infinity,
});
const mail = (n) => ({
  from: '請求センター <billing@yakin.example>',
  to: `mail${n}@tenant.example`,
  subject: `件名 ${n}`,
  text: `本文 ${n}\n`.repeat(20),
});

async function main() {
  await transport.sendMail(mail(0));
  const begun = process.hrtime.bigint();
  await Promise.all(Array.from({ length: count }, (_, n) => transport.sendMail(mail(n))));
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  process.stdout.write(`${JSON.stringify({ seconds })}\n`);
  transport.close();
}

main();
