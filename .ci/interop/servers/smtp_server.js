'use strict';
// nodemailer's smtp-server with faults on demand. Its one argument is the JSON of Options in server.go.
// Each accepted message is a line "ID SHA256-OF-BODY BYTES" in the log, written before the reply to it.
const { SMTPServer } = require('smtp-server');
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const opt = JSON.parse(process.argv[2]);
const log = fs.openSync(opt.log, 'a', 0o600);
let state = opt.seed || 1;
const random = () => { // mulberry32
	state = (state + 0x6d2b79f5) | 0;
	let t = Math.imul(state ^ (state >>> 15), 1 | state);
	t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
	return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const chance = name => random() < (opt[name] || 0);
const reject = (code, text) => Object.assign(new Error(text), { responseCode: code });
const refusals = [[451, '4.3.0 later'], [450, '4.2.1 busy'], [421, '4.3.2 going down'], [454, '4.7.0 Throttling failure: Maximum sending rate exceeded.'], [554, '5.7.1 no']];
const refusal = () => chance('refuse') ? reject(...refusals[Math.floor(random() * refusals.length)]) : null;

const connection = session => [...server.connections].find(c => c.id === session.id);
const socketOf = session => connection(session)?._socket;
function cut(session) {
	const socket = socketOf(session);
	if (!socket) return;
	const how = random();
	if (how < 0.4 && !socket.encrypted) socket.resetAndDestroy();
	else if (how < 0.7) socket.destroy();
	else { socket.end(); setTimeout(() => socket.destroy(), 50); }
}

function stage(session, next) {
	if (chance('cut')) return cut(session);
	const error = refusal();
	if (chance('stall')) return setTimeout(() => next(error), 1000 * (opt.stallFor || 3));
	next(error);
}

function store(content, session) {
	const end = content.indexOf('\r\n\r\n');
	const head = content.subarray(0, end < 0 ? content.length : end).toString('latin1');
	const body = end < 0 ? Buffer.alloc(0) : content.subarray(end + 4);
	const id = (/^x-interop-id:[ \t]*(\S+)/im.exec(head) || [, '?'])[1];
	fs.writeSync(log, `${id} ${crypto.createHash('sha256').update(body).digest('hex')} ${content.length}\n`);
	if (opt.dir) {
		let n = 0;
		while (fs.existsSync(path.join(opt.dir, `${id}.${n}.eml`))) n++;
		fs.writeFileSync(path.join(opt.dir, `${id}.${n}.eml`), content);
		const envelope = { from: session.envelope.mailFrom && session.envelope.mailFrom.address, to: session.envelope.rcptTo.map(r => r.address) };
		fs.writeFileSync(path.join(opt.dir, `${id}.${n}.json`), JSON.stringify(envelope));
	}
	return id;
}

const server = new SMTPServer({
	secure: opt.tls === 'wrapper',
	hideSTARTTLS: opt.tls !== 'starttls',
	...(opt.tls === 'none' ? {} : { cert: fs.readFileSync(opt.cert), key: fs.readFileSync(opt.key) }),
	authMethods: opt.login ? ['LOGIN'] : ['PLAIN', 'LOGIN'],
	authOptional: !opt.auth,
	allowInsecureAuth: opt.tls === 'none',
	disabledCommands: opt.auth ? [] : ['AUTH'],
	disableReverseLookup: true,
	size: 50 << 20,
	socketTimeout: 1000 * (opt.idle || 300),
	maxClients: opt.maxClients || Infinity,
	hidePIPELINING: !opt.pipelining,
	logger: false,
	onAuth(auth, session, done) {
		if (auth.username !== 'user' || auth.password !== 'pass') return done(reject(535, 'Authentication Credentials Invalid'));
		done(null, { user: auth.username });
	},
	onConnect(session, done) { chance('cut') ? cut(session) : done(); },
	onMailFrom(address, session, done) {
		session.mails = (session.mails || 0) + 1;
		if (opt.maxMsgs && session.mails > opt.maxMsgs) return done(reject(opt.softLimit ? 451 : 421, opt.softLimit ? '4.3.2 Too many messages in this session' : 'Too many messages for this session'));
		stage(session, done);
	},
	onRcptTo(address, session, done) { stage(session, done); },
	onData(stream, session, done) {
		const chunks = [];
		const early = chance('cutBody');
		stream.on('data', chunk => { if (early) cut(session); else chunks.push(chunk); });
		stream.on('end', () => {
			if (early) return;
			if (chance('cutBefore')) return cut(session);
			const error = refusal();
			if (error) return done(error);
			const id = store(Buffer.concat(chunks), session);
			if (chance('cutAfter')) {
				const how = random();
				if (how < 0.2) socketOf(session)?.write('25');
				else if (how < 0.3) socketOf(session)?.write('250-half\r\n');
				else if (how < 0.4) return setTimeout(() => cut(session), 1000 * (opt.stallFor || 3));
				return cut(session);
			}
			if (chance('garbage')) { socketOf(session)?.write('I am a teapot\r\n'); return cut(session); }
			done(null, 'Ok ' + id);
			if (chance('cutLater')) setImmediate(() => cut(session));
		});
	},
});
server.on('error', () => {});
process.on('uncaughtException', e => { console.error(e); });
process.on('SIGTERM', () => server.close(() => process.exit(0)));
server.listen(opt.port, '127.0.0.1', 512);
