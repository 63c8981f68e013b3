package event

import seserrors "github.com/sesguard/sesguard-go/errors"

// A pairRule gives a meaning to two words that stand near each other, in
// either order and in any language: what a reply is about, and what it says of
// that.
type pairRule struct {
	about, says []string // phrases as in diagnosticRule, without gaps; no says: about alone
	code        string   // as in diagnosticRule
	reason      seserrors.Reason
}

// pairRules are asked in order, where no phrase gave a meaning. They know no
// receiver's sentences but the words that sentences are made of, and so they read
// replies that nobody has seen before. A rule that would suppress an address counts
// only in a permanent reply without any of senders and notRecipient.
var pairRules = []pairRule{
	{about: someLimit, reason: seserrors.ReceiverBusy},
	{about: sendingDomain, says: unwanted, reason: seserrors.SendingDomainBlocked},
	{about: addressLists, reason: seserrors.SendingIPBlocked},
	{about: sendingHost, says: unwanted, reason: seserrors.SendingIPBlocked},
	{about: space, says: exceeded, reason: seserrors.MailboxFull},
	{about: space, says: full, reason: seserrors.MailboxFull},
	{about: mailboxes, says: full, reason: seserrors.MailboxFull},
	{about: senders, says: unknown, reason: seserrors.AuthenticationFailed},
	{about: senders, says: pretended, reason: seserrors.AuthenticationFailed},
	{about: mails, says: harmful, reason: seserrors.ContentRefused},
	{about: mailboxes, says: closed, reason: seserrors.MailboxDisabled},
	{about: mailboxes, says: unknown, reason: seserrors.RecipientUnknown},
	{about: addresses, says: unknown, reason: seserrors.RecipientUnknown},
}

// vagueRules are asked last of all, behind the codes.
var vagueRules = []pairRule{
	{about: passing, code: "4", reason: seserrors.ReceiverUnavailable},
	{about: rulesOfSite, reason: seserrors.RecipientPolicy},
}

// Words for a mailbox and for whoever owns it.
var mailboxes = []string{
	"recipient", "recipients", "recipient's", "addressee", "user", "users", "username", "mailbox", "inbox", "account", "person", "subscriber", "customer", "member", "employee", "student", "alias",
	"empfänger~", "empfaenger~", "benutzer~", "nutzer~", "postfach", "konto", "teilnehmer~", "mitarbeiter~",
	"destinataire~", "utilisateur~", "compte", "boîte", "boite", "abonné~",
	"destinatario~", "usuario~", "buzón", "buzon", "cuenta", "casilla",
	"destinatário~", "usuário~", "utilizador~", "caixa", "conta",
	"utente", "casella", "gebruiker~", "ontvanger~", "geadresseerde", "postbus",
	"odbiorc~", "użytkowni~", "adresat~", "skrzynk~", "konta", "příjemce", "uživatel~", "schránk~", "účet", "príjemca", "používateľ~",
	"användare~", "mottagare~", "brevlåd~", "kontot", "bruger~", "modtager~", "postkasse~", "kontoen", "bruker~", "mottaker~",
	"käyttäjä~", "vastaanottaja~", "postilaatik~", "címzett~", "felhasználó~", "postafiók~", "kullanıcı~", "alıcı~", "hesap~", "hesab~", "posta kutusu~",
	"destinatarul~", "utilizatorul~", "contul~", "căsuța~",
	"пользовател~", "получател~", "ящик~", "аккаунт~", "абонент~", "учётн~", "учетн~", "користувач~", "одержувач~", "отримувач~", "скриньк~",
	"用户", "用戶", "收件人", "收件者", "收件箱", "收件匣", "邮箱", "郵箱", "信箱", "帐号", "账号", "帳號", "帐户", "账户",
	"ユーザ", "宛先", "受信者", "メールボックス", "アカウント", "사용자", "수신자", "받는 사람", "메일함", "편지함", "계정",
}

// Words for an address. It may be that of a host, too.
var addresses = []string{
	"address", "adresse", "dirección", "direccion", "endereço", "endereco", "indirizzo", "adres", "adresu", "adresa", "adressen", "adresi", "osoite~", "адрес", "адреса", "адресу",
	"e-mail-adresse", "mailadresse", "e-mailadres", "addressbook", "directory", "地址", "メールアドレス", "アドレス", "주소",
}

// What is said of a mailbox that is not there.
var unknown = []string{
	"unknown", "not known", "isn't known", "not exist", "doesn't exist", "no longer exists", "never existed", "nonexistent", "non-existent", "not found", "be found", "wasn't found",
	"no such", "there is no", "there's no", "not recogni~", "unrecogni~", "not registered", "not a valid", "not valid", "misspelled", "isn't here", "not here", "no match~", "no record", "nobody", "no one", "not one of our", "does not belong", "doesn't belong", "not defined", "undefined", "not set up", "not provisioned", "not hosted", "not deliverable", "never heard", "nowhere", "not present", "unable to find", "cannot find", "can't find", "could not find", "couldn't find",
	"unbekannt~", "nicht bekannt", "existiert nicht", "nicht gefunden", "nicht vorhanden", "ungültig~", "nicht existent", "gibt es nicht", "gibt es hier nicht", "nicht eingerichtet", "nicht registriert", "nicht angelegt", "kein postfach", "kein konto", "keine mailbox", "kein benutzer", "kein empfänger",
	"inconnu~", "n'existe~", "introuvable~", "inexistant~", "invalide~", "pas trouvé~", "non trouvé~", "n'a pas de", "pas de boîte", "aucun~",
	"desconocid~", "no existe", "inexistente~", "no encontrad~", "no se encuentra", "no se encontró", "no se ha encontrado", "no es válid~", "no válid~", "no está registrad~", "no pertenece", "no hay",
	"desconhecid~", "não existe", "nao existe", "não encontrad~", "nao encontrad~", "não foi encontrad~", "inválid~", "não pertence", "não está registad~", "não cadastrad~", "nenhum~",
	"sconosciut~", "non esiste", "inesistente", "non trovat~", "non valid~", "nessun~", "non è registrat~", "onbekend~", "bestaat niet", "niet gevonden", "geen gebruiker", "geen postbus", "geen mailbox", "geen account",
	"nie istnieje", "nieznan~", "nie znaleziono", "nie ma", "neexistuje", "neznám~", "nenalezen~",
	"finns inte", "finns ej", "okänd~", "hittades inte", "ukendt~", "findes ikke", "eksisterer ikke", "finnes ikke", "ukjent~", "ikke funnet",
	"ei ole olemassa", "tuntematon", "ei löydy", "ei löytynyt", "ismeretlen", "nem létezik", "nem található", "bulunamadı", "mevcut değil", "geçersiz", "bilinmeyen", "yok",
	"necunoscut~", "nu există", "не найден~", "не существует", "неизвест~", "нет такого", "нет такой", "такого", "не зарегистрирован~", "отсутствует", "не обнаружен~", "не існує", "не знайден~", "невідом~",
	"不存在", "未找到", "找不到", "无效", "無效", "未知", "没有此", "沒有此", "查无", "查無", "存在しません", "存在しない", "見つかりません", "不明", "無効", "찾을 수 없", "존재하지", "알 수 없", "없습니다",
}

// What is said of a mailbox that is closed for now or for good.
var closed = []string{
	"disabled", "deactivated", "de-activated", "inactive", "not active", "no longer active", "closed", "suspended", "locked", "archived", "retired", "terminated", "decommissioned", "discontinued", "frozen",
	"not monitored", "no longer monitored", "unmonitored", "no longer in use", "no longer used", "left the company", "left our company", "left the organi~", "no longer works", "no longer employed", "no longer with", "switched off", "withdrawn", "out of service",
	"deaktiviert", "gesperrt", "geschlossen", "stillgelegt", "abgemeldet", "nicht mehr aktiv",
	"désactivé~", "fermé~", "suspendu~", "clôturé~", "résilié~", "suspendid~", "desactivad~", "deshabilitad~", "cerrad~", "inactiv~",
	"desativad~", "desabilitad~", "suspens~", "inativ~", "encerrad~", "disabilitat~", "disattivat~", "sospes~", "chius~",
	"uitgeschakeld", "opgeheven", "gesloten", "gedeactiveerd", "zablokowan~", "nieaktywn~", "zawieszon~", "wyłączon~", "zablokovan~", "deaktivov~", "zrušen~",
	"avstängd~", "inaktiv~", "spärrad~", "spärrat", "lukket", "deaktiveret", "deaktivert", "sperret", "stengt", "devre dışı", "kapatıl~", "askıya~",
	"заблокирован~", "отключен~", "отключён~", "неактивен~", "неактивн~", "закрыт~", "заблокован~",
	"禁用", "停用", "冻结", "凍結", "已注销", "已註銷", "锁定", "停止", "閉鎖", "비활성", "정지", "중지",
}

// Words for the room of a mailbox.
var space = []string{
	"quota", "cuota", "quotum", "size cap", "size limit", "limit erreicht", "storage", "disk", "disk space", "space", "mailstore", "speicher~", "kontingent", "espace", "stockage", "espacio", "almacenamiento", "armazenamento", "espaço", "spazio", "opslag~", "miejsc~",
	"utrymme~", "lagring~", "kiintiö", "kota~", "квот~", "мест~", "空间", "空間", "容量", "용량",
}

// What is said of a full mailbox.
var full = []string{
	"full", "exhausted", "overflow~", "no space", "no room", "no more room", "insufficient", "not enough", "has reached", "over its", "over the", "over their", "used up", "out of space", "run out", "ran out", "beyond", "ceiling", "hit its",
	"voll", "überfüllt", "erschöpft", "überschritten", "limit erreicht", "plein~", "saturé~", "dépass~", "insuffisant~", "atteint~", "llen~", "excedid~", "agotad~", "superó", "supera~", "chei~", "esgotad~", "lotad~", "cheia", "pien~", "esaurit~", "oltre",
	"vol", "overschreden", "pełn~", "przepełnion~", "przekroczon~", "brak miejsca", "pln~", "překročen~", "fuld", "fullt", "överskriden", "overskredet", "täynnä", "megtelt", "tele", "dolu", "doldu", "aşıldı",
	"переполнен~", "заполнен~", "полон", "недостаточно", "нет места", "переповнен~", "已满", "已滿", "不足", "超出", "いっぱい", "一杯", "満杯", "가득", "부족",
}

// What is said of room that does not suffice.
var exceeded = []string{"exceeded", "exceeds", "exceeding", "over", "reached", "overdrawn", "surpassed", "превышен~", "超过", "超過", "초과"}

// Words for the host that sends.
var sendingHost = []string{
	"ipv4", "ip", "ips", "ip's", "ip-adresse", "ip-adressen", "ip-адрес~", "ip-adres", "ip-address", "client host", "your host", "your mail host", "your mailserver", "your mail server", "your server", "your network", "your address range", "server address", "server's address", "votre serveur", "ihr server", "ihr mailserver", "su servidor", "seu servidor", "il tuo server", "il vostro server", "uw server", "your provider's net~",
	"host", "sending server", "sending host", "sending system", "connecting host", "connecting address", "address range", "netblock", "subnet", "mailserver", "сервер~", "ip地址", "ip 地址", "ipアドレス",
}

// Words for the domain that sends.
var sendingDomain = []string{
	"domain of the sender", "sender domain", "sender's domain", "sending domain", "your domain", "from domain", "domain name of the sender", "absenderdomain", "absender-domain", "domain des absenders", "domaine de l'expéditeur", "votre domaine",
	"dominio del remitente", "su dominio", "domínio do remetente", "seu domínio", "dominio del mittente", "домен отправителя", "发件人域名", "送信元ドメイン",
}

// What is said of senders that are not wanted.
var unwanted = []string{
	"blacklist~", "blocklist~", "denylist~", "block list", "black list", "deny list", "black-list~", "block-list~", "black hole", "blocked", "listed", "listing", "banned", "barred", "reputation", "refused", "refuse", "rejected", "reject", "denied", "abuse", "abusive", "spam source",
	"not welcome", "not wanted", "standing", "reject list", "quarantined", "shut out", "not authorized to send", "not authorised to send", "not permitted to send", "poor", "too low", "complaints", "schwarzen liste", "schwarze liste", "sperrliste", "gesperrt", "geblockt", "blockiert", "abgelehnt", "liste noire", "bloqué~", "refusé~", "lista negra", "bloquead~", "rechazad~", "recusad~",
	"lista nera", "bloccat~", "rifiutat~", "zwarte lijst", "geblokkeerd", "geweigerd", "czarn~", "zablokowan~", "odrzucon~", "černé listině", "blokován~", "svartlist~", "blokeret", "blokkert", "blockerad", "kara liste~", "engellen~",
	"чёрн~", "черн~", "заблокирован~", "отклонен~", "спам-лист~", "黑名单", "黑名單", "拒绝", "拒絕", "封禁", "屏蔽", "ブラックリスト", "拒否", "블랙리스트", "차단", "거부",
}

// Lists of IP addresses by their names, and what lists are called.
var addressLists = []string{
	"spamhaus", "spamcop", "barracuda central", "barracudacentral~", "barracuda reputation", "barracuda list", "brbl", "sorbs", "uceprotect~", "abusix", "psbl", "mailspike", "gbudb", "invaluement", "dnsbl~", "rbl", "rbls", "dnsrbl", "sender reputation", "ip reputation", "mta's reputation", "spam traps",
}

// Words for a mail and its parts.
var mails = []string{
	"message", "messages", "mail", "email", "e-mail", "content", "contents", "body", "subject", "attachment~", "archive~", "zip", "macros", "url", "urls", "link", "links", "file", "files", "nachricht", "inhalt", "anhang", "contenu", "courriel", "pièce jointe",
	"mensaje", "correo", "contenido", "adjunto", "mensagem", "conteúdo", "anexo", "messaggio", "contenuto", "allegato", "bericht", "bijlage", "wiadomość", "wiadomości", "zpráva", "meddelande~", "besked", "melding~", "viesti~", "ileti~", "mesaj~",
	"сообщени~", "письмо", "письма", "повідомлен~", "лист", "邮件", "郵件", "信件", "内容", "メール", "메일", "filter~", "rule", "rules",
}

// What is said of a mail that is not wanted for what is in it.
var harmful = []string{
	"spam", "spammy", "spam-~", "junk", "malicious", "malware", "phishing", "virus", "viruses", "trojan", "suspicious", "infected", "forbidden", "prohibited", "executable~", "dangerous", "unsafe", "harmful", "scam", "fraud~", "unsolicited", "bulk", "bayes~", "scanner", "points", "fingerprint", "campaign", "password-protected", "encrypted", "shortened", "basura", "lixo",
	"verdächtig~", "schädlich~", "werbung", "unerwünscht~", "indésirable~", "pourriel", "suspect~", "malveillant~", "sospechos~", "no deseado", "suspeit~", "indesejad~", "sospett~", "indesiderat~", "verdacht~", "ongewenst~", "podejrzan~", "niechcian~", "skräppost", "söppel", "roskapost~", "istenmeyen",
	"подозр~", "спам~", "вирус~", "нежелательн~", "垃圾", "病毒", "恶意", "敏感", "迷惑", "スパム", "ウイルス", "스팸", "바이러스",
}

// Limits on how much is sent, and requests to send less.
var someLimit = []string{
	"slow down", "throttl~", "allowance", "per hour", "per-hour", "per minute", "per day", "recipient count", "too fast", "too often", "rate limit~", "rate-limit~", "hourly limit", "daily limit", "sending limit", "send limit", "zu viele", "zu schnell", "trop de", "trop rapidement",
	"demasiados", "demasiadas", "muitas", "muitos", "troppi", "troppe", "te veel", "zbyt wiele", "zbyt dużo", "för många", "for mange", "çok fazla",
	"слишком много", "слишком часто", "превышено количество", "превышено число", "превышен лимит", "забагато", "频率", "頻率", "频繁", "頻繁", "太多", "過多", "送信制限", "너무 많",
}

// What passes by itself, in words of temporary replies.
var passing = []string{
	"later", "retry", "again", "once more", "minutes", "seconds", "first time", "not seen before", "occupied", "at the moment", "shortage", "unreachable", "is down", "temporar~", "postpon~", "defer~", "delay~", "internal error", "system error", "busy", "shutting down", "going down", "overload~", "später", "spaeter", "vorübergehend", "ultérieurement", "plus tard", "réessayer", "temporair~", "más tarde", "mas tarde", "temporal~", "mais tarde", "temporari~",
	"più tardi", "riprovare", "temporane~", "later opnieuw", "tijdelijk~", "później", "tymczasow~", "později", "dočasn~", "försök igen", "senere", "tillfällig~", "midlertidig~", "myöhemmin", "később", "daha sonra", "geçici~", "позже", "позднее", "временн~", "пізніше", "тимчасов~", "稍后", "稍後", "暂时", "暫時", "後で", "一時的", "나중에", "일시적",
}

// Rules of the receiver, and what only its own people may do.
var rulesOfSite = []string{
	"policy", "policies", "our rules", "the rules", "rules of", "known correspondents", "known senders", "from outside", "site's rules", "local rules", "address book", "contact list", "allowed senders", "approved senders", "whitelist~", "allowlist~", "authorized senders", "authorised senders", "only internal", "internal mail", "internal only", "internal senders", "only members", "members only", "only accepts", "only takes", "administrator's rule", "not wish", "doesn't wish", "not want", "doesn't want", "opted out", "external senders", "outside senders",
	"forward mail for", "relay for", "mail exchanger for", "not responsible for", "log on before", "log in before", "authenticate before", "authentication is required", "must authenticate", "encrypted session", "encrypted connection", "encryption needed", "plain connections", "requires encryption", "encryption required", "encryption is required", "secured", "requires tls", "tls required", "tls is required", "starttls",
	"richtlinie~", "nicht berechtigt", "nicht erlaubt", "politique", "règles", "non autorisé~", "política~", "no permitid~", "no autorizad~", "não autorizad~", "não permitid~", "criteri", "non consentit~", "non autorizzat~", "beleid", "niet toegestaan", "polityk~", "niedozwolon~", "правил~", "политик~", "не разрешен~", "策略", "政策", "规则", "ポリシー", "정책",
}

// What is said of senders who pretend.
var pretended = []string{"our own", "our domain", "our organi~", "our company", "own domain", "local domain", "spoof~", "forged", "fake~", "impersonat~", "gefälscht~", "usurp~", "falsificad~", "falsific~", "подде~", "伪造", "なりすまし"}

// Words for whoever sends.
var senders = []string{
	"sender", "sender's", "senders", "envelope sender", "mail from", "from address", "return path", "return-path", "reverse-path", "absender~", "versender~", "expéditeur~", "expediteur~", "remitente~", "remetente~", "mittente~", "afzender~", "nadawc~", "odesílatel~", "odosielateľ~", "avsändar~", "afsender~", "avsender~",
	"lähettäj~", "feladó~", "gönderen~", "gönderici~", "expeditorul~", "отправител~", "відправник~", "发件人", "寄件人", "寄件者", "发送者", "送信者", "送信元", "差出人", "発信者", "발신자", "보내는 사람", "보낸 사람",
}

// Other words of replies that are about the sender or its mail, so that what is
// unknown or closed need not be the recipient.
var notRecipient = []string{
	"sending", "from", "your account", "your address", "your mailbox", "your domain", "your server", "your host", "client", "host", "hostname", "helo", "ehlo", "ip", "ipv4", "ptr", "reverse", "rdns", "spf", "dkim", "dmarc", "relay", "reputation", "certificate", "header", "attachment", "link", "url", "list", "lists", "rbl",
	"blacklist~", "blocklist~", "blocked", "spam", "user agent", "policy", "rate", "limit", "authentication", "login", "password", "connection", "session", "server", "database", "signature", "return", "bounce", "reply", "temporarily", "try again",
	"ihr konto", "ihre adresse", "votre compte", "votre adresse", "su cuenta", "su dirección", "sua conta", "uw account", "ваш~", "ip-adres~", "ip-адрес~", "发信", "您的", "あなた",
}
