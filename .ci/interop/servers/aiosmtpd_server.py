"""An aiosmtpd server with faults on demand. Its one argument is the JSON of Options in server.go.

Each accepted message is a line "ID SHA256-OF-BODY BYTES" in the log, written before the reply to it.
"""
import asyncio, hashlib, json, os, random, socket, ssl, struct, sys
from aiosmtpd.smtp import SMTP, AuthResult, syntax

opt = json.loads(sys.argv[1])
rng = random.Random(opt.get("seed", 1))
log = os.open(opt["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
clients = 0


def chance(name):
    return rng.random() < opt.get(name, 0)


def refusal(stage):
    """A random refusal, or None. Most are worth a second try."""
    if not chance("refuse"):
        return None
    return rng.choice(["451 4.3.0 later", "450 4.2.1 busy", "421 4.3.2 going down", "454 4.7.0 Throttling failure: Maximum sending rate exceeded.",
                       "451-4.3.0 later\r\n451 4.3.0 on two lines", "554 5.7.1 no"])


def cut(transport):
    """Ends the connection in one of the ways that networks know."""
    if transport is None:
        return
    if rng.random() < 0.6:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def record(content):
    head, _, body = content.partition(b"\r\n\r\n")
    ident = "?"
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"x-interop-id:"):
            ident = line.split(b":", 1)[1].strip().decode()
    os.write(log, f"{ident} {hashlib.sha256(body).hexdigest()} {len(content)}\n".encode())
    return ident


class Server(SMTP):
    def connection_made(self, transport):
        global clients
        if self._original_transport is None:
            clients += 1
        self.mails = 0
        super().connection_made(transport)

    def connection_lost(self, error):
        global clients
        clients -= 1
        super().connection_lost(error)

    async def _handle_client(self):
        if opt.get("maxClients") and clients > opt["maxClients"]:
            await self.push("421 Too many concurrent SMTP connections")
            self.transport.close()
            return
        if chance("cut"):
            cut(self.transport)
            return
        await super()._handle_client()

    async def guarded(self, stage, method, arg):
        if chance("cut"):
            cut(self.transport)
            return
        if chance("stall"):
            await asyncio.sleep(opt.get("stallFor", 3))
        text = refusal(stage)
        if text:
            await self.push(text)
            if text.startswith("421"):
                self.transport.close()
            return
        await method(arg)

    @syntax("MAIL")
    async def smtp_MAIL(self, arg):
        self.mails += 1
        if opt.get("maxMsgs") and self.mails > opt["maxMsgs"]:
            await self.push("451 4.3.2 Too many messages in this session" if opt.get("softLimit") else "421 Too many messages for this session")
            self.transport.close()
            return
        await self.guarded("mail", super().smtp_MAIL, arg)

    @syntax("RCPT")
    async def smtp_RCPT(self, arg):
        await self.guarded("rcpt", super().smtp_RCPT, arg)

    @syntax("DATA")
    async def smtp_DATA(self, arg):
        if chance("cutBody"):  # 354, then the line dies in the midst of the body
            await self.push("354 go ahead")
            await asyncio.sleep(0.002)
            cut(self.transport)
            return
        await self.guarded("data", super().smtp_DATA, arg)


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname):
        session.host_name = hostname
        return "250-PIPELINING\r\n250 HELP" if opt.get("pipelining") else "250 HELP"

    async def handle_DATA(self, server, session, envelope):
        if chance("cutBefore"):
            cut(server.transport)
            return "451 never seen"
        text = refusal("eod")
        if text:
            return text
        ident = record(envelope.original_content)
        if opt.get("dir"):
            base = os.path.join(opt["dir"], ident)
            n = 0
            while os.path.exists(f"{base}.{n}.eml"):
                n += 1
            with open(f"{base}.{n}.eml", "wb") as f:
                f.write(envelope.original_content)
            with open(f"{base}.{n}.json", "w") as f:
                json.dump({"from": envelope.mail_from, "to": envelope.rcpt_tos}, f)
        if chance("cutAfter"):
            how = rng.random()
            if how < 0.2:
                server._writer.write(b"25")
            elif how < 0.3:
                server._writer.write(b"250-half\r\n")
            elif how < 0.4:
                await asyncio.sleep(opt.get("stallFor", 3))
            cut(server.transport)
            return "250 never seen"
        if chance("garbage"):
            return "I am a teapot"
        if chance("cutLater"):
            asyncio.get_running_loop().call_soon(cut, server.transport)
        return "250 Ok " + ident


def authenticator(server, session, envelope, mechanism, auth):
    return AuthResult(success=auth.login == b"user" and auth.password == b"pass")


async def main():
    context = None
    if opt["tls"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(opt["cert"], opt["key"])
    loop = asyncio.get_running_loop()

    def make():
        return Server(Handler(), data_size_limit=50 << 20, hostname="aiosmtpd.test", timeout=opt.get("idle") or 300,
                      tls_context=context if opt["tls"] == "starttls" else None, require_starttls=opt["tls"] == "starttls",
                      auth_required=opt.get("auth", False), auth_require_tls=opt["tls"] == "starttls", authenticator=authenticator,
                      auth_exclude_mechanism=["PLAIN"] if opt.get("login") else None, loop=loop)

    server = await loop.create_server(make, "127.0.0.1", opt["port"], ssl=context if opt["tls"] == "wrapper" else None, backlog=512)
    await server.serve_forever()


import logging
logging.getLogger("mail.log").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
import warnings
warnings.simplefilter("ignore")
asyncio.run(main())
