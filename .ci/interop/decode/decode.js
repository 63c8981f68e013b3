'use strict';
// Reads names of mails from standard input and writes what mailparser makes of them, as JSON.
const fs = require('fs');
const crypto = require('crypto');
const { simpleParser } = require('mailparser');

const addresses = field => [].concat(field || []).flatMap(f => f.value).filter(a => a.address).map(a => `${a.name}|${a.address}`);

async function decode(name) {
	const m = await simpleParser(fs.createReadStream(name), { keepCidLinks: true, skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true });
	const note = m.headers.get('x-interop-note');
	return {
		subject: m.subject || '', from: addresses(m.from), to: addresses(m.to), cc: addresses(m.cc), replyTo: addresses(m.replyTo),
		text: m.text || '', html: m.html || '', note: note || '', defects: [],
		files: m.attachments.map(a => ({ name: a.filename || '', type: a.contentType, cid: a.cid || '', sum: crypto.createHash('sha256').update(a.content).digest('hex') })),
	};
}

(async () => {
	const out = {};
	for (const name of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) out[name] = await decode(name);
	process.stdout.write(JSON.stringify(out));
})();
