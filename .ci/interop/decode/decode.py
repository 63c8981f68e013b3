"""Reads names of mails from standard input and writes what Python's email package makes of them, as JSON."""
import email, email.policy, hashlib, json, sys


def addresses(msg, name):
    field = msg[name]
    return [] if field is None else [f"{a.display_name}|{a.addr_spec}" for a in field.addresses]


def text_of(part):
    return None if part is None else part.get_content()


def decode(name):
    with open(name, "rb") as f:
        msg = email.message_from_binary_file(f, policy=email.policy.default)
    plain, html = msg.get_body(("plain",)), msg.get_body(("html",))
    files = []
    for part in msg.walk():
        if part.is_multipart() or part is plain or part is html:
            continue
        content = part.get_payload(decode=True)
        files.append({"name": part.get_filename() or "", "type": part.get_content_type(), "cid": (part["content-id"] or "").strip("<> "),
                      "sum": hashlib.sha256(content).hexdigest()})
    return {"subject": msg["subject"] or "", "from": addresses(msg, "from"), "to": addresses(msg, "to"), "cc": addresses(msg, "cc"),
            "replyTo": addresses(msg, "reply-to"), "text": text_of(plain) or "", "html": text_of(html) or "", "files": files,
            "note": msg["x-interop-note"] or "", "defects": [type(d).__name__ for p in msg.walk() for d in p.defects]}


print(json.dumps({name: decode(name) for name in sys.stdin.read().split("\n") if name}))
