package browsertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// A program is a fakeses that runs.
type program struct {
	t          *testing.T
	smtp, page string
	cert       string
}

// build compiles the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "fakeses")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// start runs the program until the test ends.
func start(t *testing.T, binary string) *program {
	t.Helper()
	p := &program{t: t, cert: filepath.Join(t.TempDir(), "cert.pem")}
	const free = "127.0.0.1:0"
	cmd := exec.Command(binary, "-smtp", free, "-smtps", free, "-plain", free, "-api", free, "-page", free, "-cert", p.cert)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			t.Errorf("the program's end: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		words := strings.Fields(lines.Text())
		switch last := words[len(words)-1]; {
		case strings.Contains(lines.Text(), "STARTTLS"):
			p.smtp = last
		case words[0] == "page":
			p.page = last
		}
	}
	if p.smtp == "" || p.page == "" {
		t.Fatalf("the program did not say where it listens: %v", lines.Err())
	}
	return p
}

// send hands a mail over as a program in another language would.
func (p *program) send(mail string) error {
	p.t.Helper()
	pem, err := os.ReadFile(p.cert)
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := smtp.Dial(p.smtp)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	err = errors.Join(
		c.StartTLS(&tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}),
		c.Auth(smtp.PlainAuth("", "AKIAIOSFODNN7EXAMPLE", "sestest-smtp-password", "127.0.0.1")),
		c.Mail("shop@example.com"), c.Rcpt("ann@example.net"))
	if err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprint(w, strings.ReplaceAll(mail, "\n", "\r\n"))
	return w.Close()
}

// A canary is a remote host: it notes each connection and request.
type canary struct {
	url string

	mu    sync.Mutex
	conns int
	paths []string
	pages map[string]string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	c := &canary{pages: map[string]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.url = "http://" + l.Addr().String()
	srv := &http.Server{Handler: c, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns++
		}
	}}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return c
}

func (c *canary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.paths = append(c.paths, r.URL.Path)
	text, ok := c.pages[r.URL.Path]
	c.mu.Unlock()
	switch {
	case ok:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	case strings.HasSuffix(r.URL.Path, ".css"):
		w.Header().Set("Content-Type", "text/css")
	case strings.HasSuffix(r.URL.Path, ".js"):
		w.Header().Set("Content-Type", "text/javascript")
	}
	fmt.Fprint(w, text)
}

// serve adds a page to the canary's and returns its address.
func (c *canary) serve(path, text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages[path] = text
	return c.url + path
}

// heard returns how many connections came, and which paths were asked for.
func (c *canary) heard() (int, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conns, slices.Clone(c.paths)
}

// misses waits until all paths were asked for. It returns those that were not
// within a time that is long for the slowest machine.
func (c *canary) misses(want []string) (missing []string) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, paths := c.heard()
		missing = nil
		for _, path := range want {
			if !slices.Contains(paths, path) {
				missing = append(missing, path)
			}
		}
		if missing == nil || time.Now().After(end) {
			return missing
		}
	}
}

// open starts a browser. Without one the test is skipped.
func open(t *testing.T) context.Context {
	t.Helper()
	binary := ""
	for _, name := range []string{os.Getenv("SESGUARD_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			binary = path
			break
		}
	}
	if binary == "" {
		t.Skip("there is no Chromium: SESGUARD_CHROMIUM may name one")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary),
		chromedp.Flag("host-resolver-rules", "MAP rebound.example 127.0.0.1"),
		// chromedp turns these off; users have them.
		chromedp.Flag("disable-features", ""),
		chromedp.Flag("disable-background-networking", true),
	)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's own does not run as root
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", binary, err)
	}
	return ctx
}

// tab opens a tab for a test. A page that never comes fails it.
func tab(t *testing.T, parent context.Context) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	do(t, ctx)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestThePageInABrowser(t *testing.T) {
	root := open(t)
	binary := build(t)
	for name, test := range map[string]func(*testing.T, context.Context, *program){
		"a mail is read and reaches nothing":   testAMailIsReadAndReachesNothing,
		"a fault is chosen with the form":      testAFaultIsChosenWithTheForm,
		"images are shown and files are saved": testImagesAreShownAndFilesAreSaved,
		"other sites reach nothing":            testOtherSitesReachNothing,
		"the pages serve everybody":            testThePagesServeEverybody,
	} {
		t.Run(name, func(t *testing.T) { test(t, tab(t, root), start(t, binary)) })
	}
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// get reads something of the page. Where a click is just replacing the page, the
// node that was found may be gone: it is looked for again.
func get[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	for {
		value, err := chromedp.Run(ctx, a)
		if err == nil {
			return value
		}
		if !strings.Contains(err.Error(), "No node with given id") {
			t.Fatal(err)
		}
	}
}

const frameText = "Dear Ann, this is in the frame."

// attack is HTML that tries everything against a remote host.
func attack(host string) string {
	return strings.ReplaceAll(`<html><head>
<base href="HOST/base/"><link rel="preconnect" href="HOST"><link rel="dns-prefetch" href="HOST"><link rel="prefetch" href="HOST/prefetch">
<link rel="stylesheet" href="HOST/link.css"><meta http-equiv="refresh" content="0;url=HOST/refresh"><script src="HOST/script.js"></script>
<style>@import "HOST/import.css"; @font-face { font-family: f; src: url(HOST/font) } body { font-family: f; background: url(HOST/background) }</style>
</head><body background="HOST/body" onload="document.title='owned';new Image().src='HOST/onload'">
<p>`+frameText+`</p><p id="proof" style="color: rgb(18, 52, 86)">styled</p>
<script>document.title='owned'; document.body.dataset.owned=1; fetch('HOST/fetch'); parent.document.title='owned'; top.location='HOST/top'</script>
<img src="HOST/img" srcset="HOST/srcset 2x" onerror="document.title='owned'"><img src="relative"><picture><source srcset="HOST/source"><img src="HOST/picture"></picture>
<svg><image href="HOST/svg"/><use href="HOST/use#x"/><script>document.title='owned'</script><a xlink:href="javascript:document.title='owned'"><text>x</text></a></svg>
<video autoplay src="HOST/video" poster="HOST/poster"></video><audio autoplay src="HOST/audio"></audio><track src="HOST/track">
<iframe src="HOST/frame"></iframe><iframe srcdoc="<script>top.document.title='owned'</script><img src=HOST/srcdoc>"></iframe>
<object data="HOST/object"></object><embed src="HOST/embed"><input type="image" src="HOST/input">
<form action="HOST/form" target="_top"><button autofocus>send</button></form>
<a id="away" href="HOST/away" target="_top" ping="HOST/ping" style="position: fixed; inset: 0; display: block">all over</a>
<noscript><img src="HOST/noscript"><link rel="stylesheet" href="HOST/noscript.css"></noscript>
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=HOST/mutation&gt;">
</body></html>`, "HOST", host)
}

func mailOf(subject, html string) string {
	return "From: Shop <shop@example.com>\nTo: ann@example.net\nSubject: " + subject + "\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" + html + "\n"
}

// text returns all text below a node.
func text(n *cdp.Node) string {
	s := n.NodeValue + " "
	for _, c := range n.Children {
		s += text(c)
	}
	if n.ContentDocument != nil {
		s += text(n.ContentDocument)
	}
	return s
}

// frame returns a tab's context for the document in its frame, which is a target of
// its own where the browser keeps sandboxed frames apart.
func frame(t *testing.T, ctx context.Context) context.Context {
	t.Helper()
	targets, err := chromedp.Targets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.Type == "iframe" {
			ctx, cancel := chromedp.NewContext(ctx, chromedp.WithTargetID(target.TargetID))
			t.Cleanup(cancel)
			return ctx
		}
	}
	return ctx
}

// document returns the text of a tab or frame, read without running anything in it.
func document(t *testing.T, ctx context.Context) string {
	t.Helper()
	whole, deep := int64(-1), true
	doc, err := chromedp.Call(ctx, dom.GetDocument, dom.GetDocumentParams{Depth: &whole, Pierce: &deep})
	if err != nil {
		t.Fatal(err)
	}
	return text(doc.Root)
}

func testAMailIsReadAndReachesNothing(t *testing.T, ctx context.Context, p *program) {
	remote := newCanary(t)
	if err := p.send(mailOf("Your order", attack(remote.url))); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.Navigate(p.page))
	if subject := get(t, ctx, chromedp.Text(chromedp.CSS("tbody th"))); subject != "Your order" {
		t.Errorf("the list shows %q", subject)
	}
	const patience = 700 * time.Millisecond // for requests that come late
	do(t, ctx, chromedp.Click(chromedp.CSS("tbody th a")), chromedp.WaitVisible(chromedp.CSS("iframe")), chromedp.Sleep(patience))
	if text := document(t, frame(t, ctx)); !strings.Contains(text, frameText) {
		t.Errorf("the frame shows %q", text)
	}
	box := get(t, ctx, chromedp.Dimensions(chromedp.CSS("iframe")))
	do(t, ctx, chromedp.MouseClickXY(box.Content[0]+50, box.Content[1]+50), // on the link all over the frame
		chromedp.Sleep(300*time.Millisecond))
	title, address := get(t, ctx, chromedp.Title()), get(t, ctx, chromedp.Location())
	if !strings.HasPrefix(title, "Your order") || !strings.HasPrefix(address, p.page+"/mail/") {
		t.Errorf("the page is %q at %s", title, address)
	}
	do(t, ctx, chromedp.Navigate(address+"/html"), chromedp.Sleep(patience))
	if at, text := get(t, ctx, chromedp.Location()), document(t, ctx); at != address+"/html" || !strings.Contains(text, frameText) {
		t.Errorf("the HTML by itself leads to %s and shows %q", at, text)
	}
	if conns, paths := remote.heard(); conns != 0 {
		t.Errorf("%d connections to the remote host, which was asked for %q", conns, paths)
	}

	// Without the walls the same HTML does what it wants. What leads away ends the
	// rest, so it has pages of its own.
	const refresh, top = `http-equiv="refresh"`, "top.location="
	for _, page := range []struct{ path, without, also, want string }{
		{"/stays", refresh, top, "/link.css /import.css /script.js /img /fetch /frame /object /embed /svg /poster /video /background /font /input /prefetch /srcdoc /onload"},
		{"/refreshes", top, top, "/refresh"},
		{"/leaves", refresh, refresh, "/top"},
	} {
		bare := remote.serve(page.path, strings.NewReplacer(page.without, "", page.also, "").Replace(attack(remote.url)))
		do(t, ctx, chromedp.Navigate(bare))
		if missing := remote.misses(strings.Fields(page.want)); missing != nil {
			t.Errorf("this test proves nothing about %q: bare HTML does not ask for them", missing)
		}
		if title := get(t, ctx, chromedp.Title()); page.path == "/stays" && title != "owned" {
			t.Errorf("this test proves nothing about scripts: bare HTML has the title %q", title)
		}
	}
}

func testImagesAreShownAndFilesAreSaved(t *testing.T, ctx context.Context, p *program) {
	blue := color.RGBA{18, 52, 86, 255}
	dot := image.NewRGBA(image.Rect(0, 0, 1, 1))
	dot.Set(0, 0, blue)
	var file bytes.Buffer
	if err := png.Encode(&file, dot); err != nil {
		t.Fatal(err)
	}
	err := p.send("From: Shop <shop@example.com>\nTo: ann@example.net\nSubject: Picture\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\n" +
		"Content-Type: text/html\n\n<body style='margin: 0'><img src='cid:dot@shop' style='width: 100px; height: 100px'>\n--b\n" +
		"Content-Type: image/png; name=dot.png\nContent-ID: <dot@shop>\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(file.Bytes()) + "\n--b--\n")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder,
	}); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.EmulateViewport(800, 1200), chromedp.Navigate(p.page), chromedp.Click(chromedp.CSS("tbody th a")), chromedp.WaitVisible(chromedp.CSS("iframe")))
	box := get(t, ctx, chromedp.Dimensions(chromedp.CSS("iframe")))
	var got color.Color
	for end := time.Now().Add(20 * time.Second); got != blue && time.Now().Before(end); {
		shot, err := png.Decode(bytes.NewReader(get(t, ctx, chromedp.CaptureScreenshot())))
		if err != nil {
			t.Fatal(err)
		}
		got = color.RGBAModel.Convert(shot.At(int(box.Content[0])+50, int(box.Content[1])+50))
	}
	if got != blue {
		t.Errorf("in the place of the mail's image the page shows %v", got)
	}
	do(t, ctx, chromedp.Click(chromedp.CSS("a[href$='/file/0']")))
	var saved []byte
	for end := time.Now().Add(20 * time.Second); !bytes.Equal(saved, file.Bytes()) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		saved, _ = os.ReadFile(filepath.Join(folder, "dot.png"))
	}
	if !bytes.Equal(saved, file.Bytes()) {
		t.Errorf("the file is saved as %q", saved)
	}
}

func testAFaultIsChosenWithTheForm(t *testing.T, ctx context.Context, p *program) {
	do(t, ctx, chromedp.Navigate(p.page+"/faults"), chromedp.SetValue(chromedp.CSS("#fault"), "refuse:sending-paused"), chromedp.Click(chromedp.CSS("form[action='/faults'] button")))
	said, waiting := get(t, ctx, chromedp.Text(chromedp.CSS(".said"))), get(t, ctx, chromedp.Text(chromedp.CSS("ol")))
	if !strings.Contains(said, "waits") || !strings.Contains(waiting, "sending-paused") {
		t.Errorf("the page says %q and lists %q", said, waiting)
	}
	err := p.send(mailOf("Hello", "Hello"))
	if reply, ok := errors.AsType[*textproto.Error](err); !ok || reply.Code != 554 || !strings.Contains(reply.Msg, "Sending paused") {
		t.Errorf("the next send got %v", err)
	}
	if err := p.send(mailOf("Hello", "Hello")); err != nil {
		t.Errorf("the send after it got %v", err)
	}
}

func testOtherSitesReachNothing(t *testing.T, ctx context.Context, p *program) {
	remote := newCanary(t)
	form := remote.serve("/form", `<form method="post" action="`+p.page+`/faults"><input name="own" value="accept-then-cut"></form><script>document.forms[0].submit()</script>`)
	do(t, ctx, chromedp.Navigate(form), chromedp.WaitNotPresent(chromedp.CSS("form")))
	if got := get(t, ctx, chromedp.Text(chromedp.CSS("body"))); !strings.Contains(got, "cross-origin") {
		t.Errorf("a form of another site leads to %q", got)
	}
	do(t, ctx, chromedp.Navigate(p.page+"/faults"))
	if got := get(t, ctx, chromedp.Text(chromedp.CSS("main"))); strings.Contains(got, "accept then cut") {
		t.Error("a form of another site queued a fault")
	}
	do(t, ctx, chromedp.Navigate(strings.Replace(p.page, "127.0.0.1", "rebound.example", 1)))
	if got := get(t, ctx, chromedp.Text(chromedp.CSS("body"))); !strings.Contains(got, "localhost") || strings.Contains(got, "Mails") {
		t.Errorf("under a name of another site the page shows %q", got)
	}
}

// Each page fits a phone, breaks none of its own rules, begins with a link over the
// navigation, and names all that can be operated.
func testThePagesServeEverybody(t *testing.T, ctx context.Context, p *program) {
	if err := p.send(mailOf(strings.Repeat("Long", 200), "<p>Hello <a href='https://example.com/'>you</a></p>")); err != nil {
		t.Fatal(err)
	}
	complaints := &complaints{}
	if err := chromedp.Listen(ctx, complaints.note); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile), chromedp.Navigate(p.page))
	mail := get(t, ctx, chromedp.AttributeValue(chromedp.CSS("tbody th a"), "href")).Value
	for _, path := range []string{"/", mail, "/events", "/faults", "/account", "/connect"} {
		do(t, ctx, chromedp.Navigate(p.page+path))
		if wide := get(t, ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth - 360")); wide > 0 {
			t.Errorf("%s is %d pixels wider than a phone", path, wide)
		}
		if style := get(t, ctx, chromedp.Evaluate[string]("getComputedStyle(document.querySelector('header ul')).listStyleType")); style != "none" {
			t.Errorf("%s is shown without its style", path)
		}
		do(t, ctx, chromedp.KeyEvent("\t"))
		if focus := get(t, ctx, chromedp.Evaluate[string]("document.activeElement.className")); focus != "skip" {
			t.Errorf("%s: the first tab leads to %q", path, focus)
		}
		tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		if list := nameless(tree.Nodes); len(list) > 0 || len(tree.Nodes) < 20 {
			t.Errorf("%s: of %d nodes these have no name: %v", path, len(tree.Nodes), list)
		}
	}
	if list := complaints.all(); len(list) > 0 {
		t.Errorf("the browser complains: %q", list)
	}
}

// complaints are what the browser writes into its log.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) note(e any) {
	if e, ok := e.(*log.EventEntryAdded); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = append(c.list, e.Entry.Text)
	}
}

func (c *complaints) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.list
}

// nameless lists what can be operated, or leads, and does not say what it is.
func nameless(nodes []*accessibility.Node) (list []string) {
	roles := []string{"button", "link", "textbox", "combobox", "spinbutton", "checkbox", "Iframe", "navigation", "table", "heading"}
	for _, n := range nodes {
		if !n.Ignored && slices.Contains(roles, words(n.Role)) && words(n.Name) == "" {
			list = append(list, words(n.Role))
		}
	}
	return list
}

func words(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `" `)
}
