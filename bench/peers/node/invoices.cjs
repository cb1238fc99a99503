// An invoice of the same content drawn with pdfkit, COUNT times: GOTHIC MINCHO DATA COUNT [FILE].
'use strict';
const fs = require('node:fs');
const PDFDocument = require('pdfkit');

const [gothicFile, minchoFile, dataFile, count, file] = process.argv.slice(2);
const fonts = { gothic: fs.readFileSync(gothicFile), mincho: fs.readFileSync(minchoFile) };
const data = JSON.parse(fs.readFileSync(dataFile, 'utf8'));
const yen = (text) => Number(text).toLocaleString('ja-JP');

function head(doc) {
  doc.font('mincho').fontSize(25).text('請 求 書', 57, 57);
  doc.font('gothic').fontSize(8.5).text(`請求番号 ${data.number}`, 380, 62);
  doc.text(`発行日 ${data.issued_on}`, 380, 76);
  doc.moveTo(57, 95).lineTo(538, 95).lineWidth(1.4).stroke();
  doc.text(data.recipient.address, 57, 110);
  doc.font('mincho').fontSize(14).text(`${data.recipient.name} 御中`, 57, 140);
  doc.fontSize(11.5).text(data.issuer.name, 340, 110);
  doc.font('gothic').fontSize(8.5).text(data.issuer.address, 340, 128);
  doc.text(`登録番号 ${data.issuer.registration_number}`, 340, 158);
  doc.text(`対象期間 ${data.period.first} – ${data.period.last}`, 57, 190);
  doc.fontSize(14).text(`ご請求金額 ￥${yen(data.total)}`, 57, 206);
  doc.fontSize(8.5).text(`お支払期限 ${data.due_on}`, 57, 228);
}

function table(doc) {
  let y = 256;
  const row = (cells) => {
    const columns = [[57, 230], [290, 60], [355, 60], [420, 50], [475, 63]];
    cells.forEach((cell, n) => {
      const [x, width] = columns[n];
      doc.text(cell, x, y, { width, align: n === 0 ? 'left' : 'right' });
    });
    y += 16;
    doc.moveTo(57, y - 4).lineTo(538, y - 4).lineWidth(0.4).stroke();
  };
  row(['品目', '数量', '単価', '税率', '金額']);
  for (const line of data.lines) {
    const rate = `${Math.round(Number(line.tax_rate) * 100)}%`;
    row([line.description, `${yen(line.quantity)} ${line.unit}`, yen(line.unit_price), rate, yen(line.amount)]);
  }
  for (const tax of data.taxes) {
    row([`${Math.round(Number(tax.rate) * 100)}% 対象`, '', yen(tax.taxable), '消費税', yen(tax.tax)]);
  }
  row(['小計', '', '', '', yen(data.subtotal)]);
  row(['消費税', '', '', '', yen(data.tax)]);
  row(['合計', '', '', '', yen(data.total)]);
  doc.text(`お振込先 ${data.issuer.bank_account}`, 57, y + 12);
}

// Resolves to the bytes of one PDF.
function invoice() {
  return new Promise((resolve, reject) => {
    const doc = new PDFDocument({ size: 'A4', margin: 57 });
    const chunks = [];
    doc.on('data', (chunk) => chunks.push(chunk));
    doc.on('end', () => resolve(Buffer.concat(chunks)));
    doc.on('error', reject);
    doc.registerFont('gothic', fonts.gothic);
    doc.registerFont('mincho', fonts.mincho);
    head(doc);
    table(doc);
    doc.end();
  });
}

async function main() {
  let pdf = await invoice();
  process.stdout.write('ready\n');
  const begun = process.hrtime.bigint();
  for (let n = 0; n < Number(count); n += 1) pdf = await invoice();
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  if (file) fs.writeFileSync(file, pdf);
  process.stdout.write(`${JSON.stringify({ seconds, bytes: pdf.length })}\n`);
}

main();
